"""What the input and the lines of a card have in common: text goes in and comes out unchanged."""

from __future__ import annotations

from tui.terminal.escape_stand_ins import hold_line_ends, restored
from tui.terminal.textual_patches.widgets import Edit, EditResult, Location, PatchedTextArea


class PlainTextArea(PatchedTextArea):
    """Textual's own without a frame, as high as its text."""

    DEFAULT_CSS = """
    PlainTextArea {
        height: auto;
        width: 1fr;
        border: none;
        padding: 0;
        background: transparent;
        scrollbar-size-vertical: 1;
        &:focus { border: none; background-tint: transparent; }
        & .text-area--placeholder { color: $muted; }
        & .text-area--cursor { background: $foreground; color: $background; text-style: none; }
    }
    """

    @property
    def text(self) -> str:
        """What is written, with every line end that it was given."""
        return restored(super().text)

    @text.setter
    def text(self, value: str) -> None:
        self.load_text(value)

    def get_text_range(self, start: Location, end: Location) -> str:
        """Return what is written between two places."""
        return restored(super().get_text_range(start, end))

    def edit(self, edit: Edit) -> EditResult:
        """Do what changes the text."""
        edit.text = hold_line_ends(edit.text)
        return super().edit(edit)

    def to_document(self, text: str) -> str:
        """Return a text with its line ends held, of which a document has but one kind."""
        return hold_line_ends(text)
