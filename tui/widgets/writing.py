"""What the input and the lines of a card have in common."""

from __future__ import annotations

from contextlib import suppress

from textual.widgets import TextArea


class Writing(TextArea):
    """Textual's own without a frame, as high as its text."""

    DEFAULT_CSS = """
    Writing {
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

    def _watch_show_vertical_scrollbar(self) -> None:
        """Taking a long text back hides the bar before the cursor has left the lines that are gone."""
        with suppress(ValueError):
            super()._watch_show_vertical_scrollbar()
