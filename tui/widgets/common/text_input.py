"""Text inputs: the text area of the input and the cards, and a line at the top of a screen."""

from __future__ import annotations

from textual.widgets import Input

from tui.terminal.input_stand_ins import replace_line_ends, restored
from tui.terminal.textual_patches.widgets import Edit, EditResult, Location, PatchedTextArea


class PlainTextArea(PatchedTextArea):
    """A text area without a border, with the height of its text."""

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
        """The text with its original line ends."""
        return restored(super().text)

    @text.setter
    def text(self, value: str) -> None:
        self.load_text(value)

    def get_text_range(self, start: Location, end: Location) -> str:
        """Return the text between two locations."""
        return restored(super().get_text_range(start, end))

    def edit(self, edit: Edit) -> EditResult:
        """Apply an edit."""
        edit.text = replace_line_ends(edit.text)
        return super().edit(edit)

    def to_document(self, text: str) -> str:
        """Return a text with all line ends but newline replaced by stand-ins."""
        return replace_line_ends(text)


class LineInput(Input):
    """A one-line input without a border, for a filter or a prompt."""

    DEFAULT_CSS = """
    LineInput {
        height: 1;
        border: none;
        padding: 0 1;
        background: transparent;
        &:focus { border: none; background-tint: transparent; }
    }
    """
