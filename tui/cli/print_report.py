"""A report on the command line: the content of the report screen in the terminal's own colors.

Colors are used only if the output is a terminal that supports them; signs carry the same
information.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tui.terminal.printing import Safe, styled
from tui.terminal.sanitize import clean
from tui.views.report_view import report_view

if TYPE_CHECKING:
    from textual.content import Content

    from trainer.report.report import Report

WIDEST = 100
_STYLES: dict[str, dict[str, Any]] = {
    "accent": {"fg": "cyan"},
    "success": {"fg": "green"},
    "warning": {"fg": "yellow"},
    "error": {"fg": "red"},
    "muted": {"dim": True},
    "line": {"dim": True},
    "bold": {"bold": True},
}
"""Terminal styles for the style names of the report."""


def room() -> int:
    """Return the width of a report in columns."""
    return min(WIDEST, shutil.get_terminal_size().columns)


def printed(report: Report, width: int = 80) -> Safe:
    """Return the report with color escape sequences, at most `width` columns wide."""
    return Safe("".join(_pieces(report_view(report, width, {name: name for name in _STYLES}))))


def _pieces(content: Content) -> Iterator[str]:
    """Yield the text of a content with its styles; spans do not overlap."""
    text, done = content.plain, 0
    for span in sorted(content.spans):
        yield clean(text[done : span.start])
        style: dict[str, Any] = {}
        for word in str(span.style).split():
            style |= _STYLES[word]
        yield styled(text[span.start : span.end], **style)
        done = span.end
    yield clean(text[done:])
