"""The multi-line input, with history.

Enter sends; Ctrl+J, Shift+Enter and Alt+Enter insert a line break. Up on the first line and Down on the
last one move through earlier messages; the draft follows the latest of them. While `completing` is set,
Up, Down, Tab and Enter control the completion menu.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message

from tui.keys.bindings import bindings, keyboard_of
from tui.widgets.common.text_input import PlainTextArea

MAX_HISTORY = 200


class Composer(PlainTextArea):
    """The message being written."""

    DEFAULT_CSS = """
    Composer { max-height: 8; color: $foreground; }
    """

    class Editor(Message):
        """The user wants to edit the draft in $EDITOR."""

    class Page(Message):
        """The user wants to scroll the transcript by a page."""

        def __init__(self, direction: int) -> None:
            super().__init__()
            self.direction = direction

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("input")]

    def __init__(
        self, placeholder: str, send: Callable[[], None], menu: Callable[[int], None]
    ) -> None:
        """`send` and `menu` are called directly, because the next key may already be queued.

        `menu` gets -1 or 1 to move the highlight and 0 to insert the first completion.
        """
        super().__init__(
            compact=True, highlight_cursor_line=False, placeholder=placeholder, id="composer"
        )
        self.completing = False
        self._send, self._menu = send, menu
        self._history: list[str] = []
        self._at = 0
        self._draft = ""

    @property
    def from_history(self) -> bool:
        """Whether the text is an earlier message, unchanged."""
        return self._at < len(self._history) and self.text == self._history[self._at]

    def remember(self, lines: Iterable[str]) -> None:
        """Set the history, latest last."""
        self._history = list(lines)[-MAX_HISTORY:]
        self._at = len(self._history)

    def write(self, text: str) -> None:
        """Replace the text; the cursor goes to its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)

    def take(self) -> None:
        """Add the text to the history and clear the input."""
        text = self.text
        if text.strip() and self._history[-1:] != [text]:
            self._history = [*self._history, text][-MAX_HISTORY:]
        self._at, self._draft = len(self._history), ""
        self.load_text("")

    async def on_key(self, event: events.Key) -> None:
        """Handle the keys of the input before the text area does."""
        taken, keyboard = True, keyboard_of(self.app)
        if keyboard.does("send", event.key) or (self.completing and event.key == "enter"):
            self._send()
        elif keyboard.does("newline", event.key):
            self.insert("\n")
        elif keyboard.does("complete", event.key) and (self.completing or self.text):
            self._menu(0)
        else:
            taken = False
        if taken:
            event.stop()
            event.prevent_default()

    async def on_paste(self, event: events.Paste) -> None:
        """Insert a paste as one edit."""
        event.prevent_default()
        event.stop()
        if text := event.text:
            start, end = self.selection
            self.replace(text, start, end, maintain_selection_offset=False)
            self.scroll_cursor_visible()

    def action_cursor_up(self, select: bool = False) -> None:
        """Move up a line; from the first, into the history or the menu."""
        if self.completing and not select:
            self._menu(-1)
        elif select or not self.cursor_at_first_line or not self._walk(-1):
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """Move down a line; from the last, into the history or the menu."""
        if self.completing and not select:
            self._menu(1)
        elif select or not self.cursor_at_last_line or not self._walk(1):
            super().action_cursor_down(select)

    def action_editor(self) -> None:
        """Open the draft in $EDITOR."""
        self.post_message(self.Editor())

    def action_cursor_page_up(self) -> None:
        """Scroll the transcript."""
        self.post_message(self.Page(-1))

    def action_cursor_page_down(self) -> None:
        """Scroll the transcript."""
        self.post_message(self.Page(1))

    def _walk(self, step: int) -> bool:
        at = self._at + step
        if not 0 <= at <= len(self._history):
            return False
        if self._at == len(self._history):
            self._draft = self.text
        self._at = at
        self.write(self._draft if at == len(self._history) else self._history[at])
        return True
