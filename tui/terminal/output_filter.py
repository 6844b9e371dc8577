"""The last filter before the terminal: no drawn text can act on it.

Most widgets show text that `tui.terminal.sanitize.clean` made safe. A field shows text as it was typed,
so each line is checked again when it is drawn, and unsafe characters are drawn as blanks of the same
width.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui.terminal.sanitize import ACTS


class UnsafeTextFilter(LineFilter):
    """Blanks characters that could act on the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments of a line at the same width."""
        if all(text.isascii() and text.isprintable() for text, _style, _control in segments):
            return segments
        return [
            segment if segment.control else Segment(_blanked(segment.text), segment.style)
            for segment in segments
        ]


def _blanked(text: str) -> str:
    return ACTS.sub(lambda found: " " * cell_len(found[0]), text)
