"""Going over what was said: earlier turns, branches, copying as it was written.

Nothing here changes what was said; a message that is asked otherwise begins a branch beside it.
"""

from __future__ import annotations

from textual import work
from textual.app import SuspendNotSupported

from memory.errors import DiscernError
from memory.i18n.i18n import tr
from tui.chat.marking_stage import MarkingStage
from tui.markdown.code_blocks import code_blocks
from tui.terminal.editor import edited, editor
from tui.terminal.sanitize import clean
from tui.widgets.chat.transcript import Told
from tui.widgets.chat.turn import TurnView
from tui.widgets.composer.composer import Composer


class ReadingStage(MarkingStage):
    """What of the chat screen has to do with what was said before."""

    _copied: tuple[TurnView, int] | None = None

    @work(group="earlier")
    async def on_transcript_near_top(self, message: Told.NearTop) -> None:
        """Lay earlier turns down."""
        if self._chat is not None:
            await self.attempt(self.talk.show_earlier())

    # --- the draft ---------------------------------------------------------------------------

    async def on_composer_editor(self, message: Composer.Editor) -> None:
        """Hand the terminal to the person's editor; a reply under way goes on meanwhile."""
        draft = self.composer.text
        try:
            command = editor()
            with self.app.suspend():
                text = edited(draft, command, self.home.drafts)
        except SuspendNotSupported:
            await self.say(tr("This terminal cannot be handed to an editor; write here."), "error")
        except DiscernError as error:
            await self.say_error(error)
        else:
            self.composer.write(text)
        self.refresh(layout=True)

    # --- branches ----------------------------------------------------------------------------

    async def action_edit(self) -> None:
        """Put the chosen message into the input."""
        if self.transcript.chosen is not None:
            await self.attempt(self._handlers.edit())
            self.transcript.choose(None)

    async def action_retry(self) -> None:
        """Ask the chosen message again."""
        if self.transcript.chosen is not None:
            await self.attempt(self._handlers.retry())

    async def action_branch(self, step: int) -> None:
        """Walk to the branch beside the chosen reply."""
        view = self.transcript.chosen
        if view is None or view.turn is None or not await self.between_turns(tr("choose a branch")):
            return
        siblings = self.chat.journal.branches.siblings([view.turn.id]).get(view.turn.id)
        beside = siblings.beside(step) if siblings else None
        if siblings is None:
            self.status.say(tr("There is one branch here; r asks again, e asks otherwise."))
        elif beside is None:
            self.status.say(tr("This is branch {which}.", which=siblings))
        else:
            await self.attempt(self.talk.choose_branch(beside))

    def action_thought(self) -> None:
        """Unfold what was thought for the chosen reply, or fold it."""
        view = self.transcript.chosen
        if view is None:
            return
        if view.thought.text:
            view.thought.toggle()
        else:
            self.status.say(tr("Nothing was thought for this reply, or it is no longer known."))

    # --- copying -----------------------------------------------------------------------------

    def action_copy(self) -> None:
        """Copy the chosen reply as it was written."""
        view = self.transcript.chosen
        if view is not None:
            self.app.copy_to_clipboard(view.reply.text)
            self.status.say(tr("Copied the reply."))

    def action_copy_code(self) -> None:
        """Copy the code of the chosen reply; pressed again, its next block."""
        view = self.transcript.chosen
        if view is None:
            return
        blocks = code_blocks(view.reply.text)
        if not blocks:
            self.status.say(tr("There is no code in this reply."))
            return
        at = 0
        if self._copied is not None and self._copied[0] is view:
            at = (self._copied[1] + 1) % len(blocks)
        self._copied = (view, at)
        self.app.copy_to_clipboard(blocks[at])
        self.status.say(
            tr("Copied the code.")
            if len(blocks) == 1
            else tr("Copied code {number} of {count}.", number=at + 1, count=len(blocks))
        )

    def selected_source(self) -> str:
        """Return what is selected as it was written: no wrapped lines, no padding."""
        if not self.selections:
            return ""
        found = self._selected()
        if isinstance(found, tuple):
            view, (start, end) = found
            return view.reply.text[start:end]
        lines = clean(self.get_selected_text() or "").split("\n")
        return "\n".join(line.rstrip() for line in lines)
