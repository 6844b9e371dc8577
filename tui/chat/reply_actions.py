"""What can be done with a reply: branches, reasoning, copying; and editing the draft in `$EDITOR`."""

from __future__ import annotations

from textual.app import SuspendNotSupported

from memory.errors import DiscernError
from memory.i18n.interface_language import tr
from tui.chat.context import ChatContext
from tui.chat.thread_view import ThreadView
from tui.keys.bindings import keyboard_of
from tui.markdown.parser import code_blocks
from tui.terminal.editor import edited, editor
from tui.terminal.sanitize import clean
from tui.widgets.chat.turn import TurnView
from tui.widgets.marking.spans import TextRange, selected


def selected_part(context: ChatContext) -> tuple[TurnView, TextRange] | str:
    """Return the reply that contains the selection, and its start and end; or an error message."""
    selections = context.screen.selections
    views = [
        view
        for view in context.transcript.turns
        if any(view in widget.ancestors for widget in selections)
    ]
    if len(views) != 1:
        return tr("To mark part of a reply, select text within one reply.")
    part = selected(views[0].reply, views[0].reply.text, selections)
    return part if isinstance(part, str) else (views[0], part)


class ReplyActions:
    """Actions on the replies on the screen that do not change them."""

    def __init__(self, context: ChatContext, thread: ThreadView) -> None:
        self._context, self._thread = context, thread
        self._copied: tuple[TurnView, int] | None = None
        """The reply whose code was copied last, and the index of the block."""

    async def edit_draft(self) -> None:
        """Edit the draft in the user's editor; a streaming reply continues."""
        context = self._context
        draft = context.composer.text
        try:
            command = editor()
            with context.app.suspend():
                text = edited(draft, command, context.home.drafts)
        except SuspendNotSupported:
            await context.say(
                tr("Cannot open an editor in this terminal. Write the message here."), "error"
            )
        except DiscernError as error:
            await context.say_error(error)
        else:
            context.composer.write(text)
        context.screen.refresh(layout=True)

    async def step_branch(self, step: int) -> None:
        """Show the previous or next branch of the chosen reply."""
        view, context = self._context.transcript.chosen, self._context
        if view is None or view.turn is None:
            return
        if not await context.ensure_idle(tr("switch branches")):
            return
        siblings = context.chat.journal.branches.siblings([view.turn.id]).get(view.turn.id)
        beside = siblings.beside(step) if siblings else None
        if siblings is None:
            keys = keyboard_of(context.app)
            context.status.say(
                tr(
                    "This is the only branch. Press {retry} to ask again or {edit} to edit the "
                    "message.",
                    retry=keys.first("retry"),
                    edit=keys.first("edit"),
                )
            )
        elif beside is None:
            context.status.say(tr("This is branch {which}.", which=siblings))
        else:
            await context.attempt(self._thread.choose_branch(beside))

    def toggle_thought(self) -> None:
        """Fold or unfold the reasoning of the chosen reply."""
        view = self._context.transcript.chosen
        if view is None:
            return
        if view.thought.text:
            view.thought.toggle()
        else:
            self._context.status.say(
                tr("This reply has no reasoning, or it is no longer available.")
            )

    def copy(self) -> None:
        """Copy the chosen reply's Markdown."""
        view = self._context.transcript.chosen
        if view is not None:
            self._context.app.copy_to_clipboard(view.reply.text)
            self._context.status.say(tr("Copied the reply."))

    def copy_code(self) -> None:
        """Copy the first code block of the chosen reply, or the next one if called again."""
        view, status = self._context.transcript.chosen, self._context.status
        if view is None:
            return
        blocks = code_blocks(view.reply.text)
        if not blocks:
            status.say(tr("This reply contains no code."))
            return
        at = 0
        if self._copied is not None and self._copied[0] is view:
            at = (self._copied[1] + 1) % len(blocks)
        self._copied = (view, at)
        self._context.app.copy_to_clipboard(blocks[at])
        status.say(
            tr("Copied the code.")
            if len(blocks) == 1
            else tr("Copied code block {number} of {count}.", number=at + 1, count=len(blocks))
        )

    def selected_text(self) -> str:
        """Return the selection: Markdown within one reply, else the text as shown, without padding."""
        if not self._context.screen.selections:
            return ""
        found = selected_part(self._context)
        if isinstance(found, tuple):
            view, (start, end) = found
            return view.reply.text[start:end]
        lines = clean(self._context.screen.get_selected_text() or "").split("\n")
        return "\n".join(line.rstrip() for line in lines)
