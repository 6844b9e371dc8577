"""The receipt of a stored mark, with a link to undo it."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.style import Style
from textual.widgets import Static

from memory.i18n.interface_language import tr
from tui.terminal.sanitize import clean


class ReceiptCard(Static):
    """One dim line under the marked reply; a click on its last word removes the mark."""

    DEFAULT_CSS = """
    ReceiptCard {
        height: auto;
        color: $muted;
        &:hover { color: $foreground; }
    }
    """

    class Undone(Message):
        """The user wants to remove the mark."""

        def __init__(self, difference: str) -> None:
            super().__init__()
            self.difference = difference

    def __init__(self, difference: str, text: str) -> None:
        undo = (tr("undo"), Style(underline=True) + Style.from_meta({"undo": True}))
        super().__init__(Content.assemble(f"✓ {clean(text)} ", undo), markup=False)
        self.difference = difference

    def on_click(self, event: events.Click) -> None:
        """Undo if the last word was clicked."""
        if event.style.meta.get("undo"):
            event.stop()
            self.post_message(self.Undone(self.difference))
