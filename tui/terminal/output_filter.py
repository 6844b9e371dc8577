"""The last filter before the terminal: it removes control characters from every drawn line.

Most widgets show text that `tui.terminal.sanitize.clean` sanitized, but fields show text as typed.
Unsafe characters are drawn as blanks of the same width.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui.terminal.sanitize import UNSAFE


class UnsafeTextFilter(LineFilter):
    """Replaces control and invisible characters with blanks."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments of a line at the same width."""
        if all(text.isascii() and text.isprintable() for text, _style, _control in segments):
            return segments
        return [
            segment if segment.control else Segment(_blanked(segment.text), segment.style)
            for segment in segments
        ]


def _blanked(text: str) -> str:
    return UNSAFE.sub(lambda found: " " * cell_len(found[0]), text)
