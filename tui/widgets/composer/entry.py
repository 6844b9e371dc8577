"""The bottom of the chat: completion menu, the target of a mark, and the input."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static, TextArea

from memory.i18n.interface_language import tr
from tui.commands.completion import Completion, Sources, complete
from tui.commands.registry import find
from tui.terminal.sanitize import one_line
from tui.widgets.chat.turn import TurnView
from tui.widgets.composer.completion_menu import CompletionMenu
from tui.widgets.composer.composer import Composer

PLACEHOLDER = "Ask something · / for commands"


class Entry(Vertical):
    """The input for messages and commands; `target` is the reply that the next /diff marks.

    `editing` is the id of the turn whose message is edited; the draft is restored afterwards.
    """

    DEFAULT_CSS = """
    Entry {
        height: auto;
        border-top: solid $line;
        & > #aim { height: 1; display: none; padding: 0 2 0 1; color: $accent; }
        & > #input { height: auto; padding: 0 2 0 1; }
        & #prompt { width: 2; color: $accent; }
    }
    """

    def __init__(self, sources: Callable[[], Sources], send: Callable[[str], None]) -> None:
        """`send` sends or runs a text, or keeps it in the input."""
        super().__init__(id="entry")
        self.composer = Composer(tr(PLACEHOLDER), self._sends, self._uses_menu)
        self.target: TurnView | None = None
        self.editing: str | None = None
        self._draft = ""
        self._menu = CompletionMenu()
        self._aim = Static("", markup=False, id="aim")
        self._sources, self._send = sources, send
        self._offered: str | None = None
        """The line that the menu completes."""

    def compose(self) -> ComposeResult:
        """Compose the widgets."""
        yield self._menu
        yield self._aim
        with Horizontal(id="input"):
            yield Static("›", markup=False, id="prompt")
            yield self.composer

    @property
    def draft(self) -> str:
        """The text of the input, or if it is empty the draft from before editing a turn."""
        return self.composer.text or self._draft

    def restore(self, text: str, target: TurnView | None = None) -> None:
        """Put a text back into the input, unless it is in use.

        A command is selected, so that whatever is typed next replaces it instead of being appended.
        """
        if not self.composer.text.strip():
            self.composer.write(text)
            if text.startswith("/"):
                self.composer.select_all()
            self.aim(target)

    def edit(self, view: TurnView) -> None:
        """Put the message of a turn into the input for editing."""
        if view.turn is None:
            return
        if self.editing is None:
            self._draft = self.composer.text
        self.aim(None)
        self.editing = view.turn.id
        self.composer.write(view.turn.asked)
        self.composer.focus()
        said = one_line(view.turn.asked, max(10, self.app.size.width - 40))
        self._aim.update(Content("↳ " + tr("editing: {said} · Esc cancel", said=said)))
        self._aim.display = True

    def leave_edit(self) -> bool:
        """Stop editing a turn and restore the draft; return False if no turn was edited."""
        edited = self.editing is not None
        if edited:
            self.editing = None
            self._aim.display = False
            self.composer.write(self._draft)
            self._draft = ""
        return edited

    def aim(self, view: TurnView | None) -> None:
        """Set the reply that the next /diff marks; None means the last one."""
        self.target = view
        self._aim.display = view is not None or self.editing is not None
        if view is not None:
            said = one_line(view.reply.text or view.asked, max(10, self.app.size.width - 14))
            self._aim.update(Content("◆ " + tr("marking: {said}", said=said)))

    def close_menu(self) -> bool:
        """Hide the menu; return whether it was shown."""
        shown = self._menu.first is not None
        self._offered = self.composer.text
        self._offer([])
        return shown

    @on(TextArea.Changed, "#composer")
    def offer_completions(self, event: TextArea.Changed) -> None:
        """Offer completions of the line."""
        event.stop()
        self._look()

    def _look(self) -> None:
        text = self.composer.text
        if text == self._offered:
            return
        self._offered = text
        if self.target is not None and not text.startswith("/diff"):
            self.aim(None)
        wanted = text.startswith("/") and not self.composer.from_history
        offers = complete(text, self._sources()) if wanted else []
        self._offer(offers, choose=" " not in text and find(text[1:]) is None)

    def _offer(self, offers: list[Completion], *, choose: bool = False) -> None:
        self._menu.offer(offers, choose=choose)
        self.composer.completing = bool(offers)

    def _sends(self) -> None:
        """Insert the highlighted completion, or send the line."""
        self._look()  # the menu may not be up to date with fast typing
        chosen = self._menu.chosen if self.composer.completing else None
        if chosen is not None:
            self.composer.write(chosen.text)
        if chosen is None or (chosen.ready and not chosen.text.endswith(" ")):
            self._send(self.composer.text)

    def _uses_menu(self, move: int) -> None:
        self._look()
        if move:
            self._menu.move(move)
        elif (first := self._menu.first) is not None:
            self.composer.write(first.text)

    def on_completion_menu_picked(self) -> None:
        """Insert the completion that was clicked."""
        self._uses_menu(0)
        self.composer.focus()
