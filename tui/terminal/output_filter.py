"""The last gate before the terminal: nothing that a widget draws can act on it, whatever it holds.

Most widgets show text that `tui.terminal.sanitize.clean` made safe. A field shows what is written
in it, which must stay as it is; so each line is looked through once more as it is drawn, and what
could act or hide is drawn as blanks of its width.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui.terminal.sanitize import ACTS


class UnsafeTextFilter(LineFilter):
    """Blanks what could act on the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments of a line, as wide as they were."""
        if all(text.isascii() and text.isprintable() for text, _style, _control in segments):
            return segments
        return [
            segment if segment.control else Segment(_blanked(segment.text), segment.style)
            for segment in segments
        ]


def _blanked(text: str) -> str:
    return ACTS.sub(lambda found: " " * cell_len(found[0]), text)
