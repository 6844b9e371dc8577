"""A report on the command line: what the screen shows, in the terminal's own colours.

Colours go where the output is a terminal that wants them; their signs say the same without.
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
"""What each word of a style is to a terminal whose palette is not ours."""


def room() -> int:
    """Return the columns that a page may take."""
    return min(WIDEST, shutil.get_terminal_size().columns)


def printed(report: Report, width: int = 80) -> Safe:
    """Return the report, at most `width` columns wide, coloured by escape sequences."""
    return Safe("".join(_pieces(report_view(report, width, {name: name for name in _STYLES}))))


def _pieces(content: Content) -> Iterator[str]:
    """Yield the text of a content, styled where it has a style; no two of ours overlap."""
    text, done = content.plain, 0
    for span in sorted(content.spans):
        yield clean(text[done : span.start])
        style: dict[str, Any] = {}
        for word in str(span.style).split():
            style |= _STYLES[word]
        yield styled(text[span.start : span.end], **style)
        done = span.end
    yield clean(text[done:])
