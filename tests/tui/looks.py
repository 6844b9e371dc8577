"""A screen as comparable text: its content and colors.

Each line is followed by its segments that differ from the page in color or style. Values that change
from run to run (ids, times, speeds) are replaced by placeholders of the same width.
"""

from __future__ import annotations

import re
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.app import App

_PASSING = (
    (re.compile(r"\b[0-9a-f]{8}\b"), "xxxxxxxx"),
    (re.compile(r"\b20\d\d-\d\d-\d\d\b"), "yyyy-mm-dd"),
    (re.compile(r"\b\d\d:\d\d\b"), "hh:mm"),
    (re.compile(r"\d[\d,]* tok/s"), "n tok/s"),
    (re.compile(r"\b\d+/512\b"), "n/512"),
    (re.compile(r"first token \d+\.\d+ s"), "first token n s"),
    (re.compile(r"\d[\d\s]* ток/с"), "n ток/с"),
    (re.compile(r"первый токен \d+,\d+ с"), "первый токен n с"),
)


def look(app: App[Any]) -> str:
    """Return the screen's lines, each followed by its styled runs."""
    lines: list[str] = []
    for strip in app.screen._compositor.render_strips():
        segments = list(Segment.simplify(segment for segment in strip if segment.text))
        lines.append(_settled("".join(segment.text for segment in segments)).rstrip())
        runs = _runs(segments)
        if runs:
            lines.append(f"    ~ {runs}")
    return "\n".join(lines)


def _settled(text: str) -> str:
    for pattern, sign in _PASSING:
        text = pattern.sub(sign, text)
    return text


def _runs(segments: list[Segment]) -> str:
    """Name the runs of text that are not plain: where they begin, colours and attributes."""
    found, column = [], 0
    for segment in segments:
        style = segment.style or Style()
        said = _said(style)
        if said and segment.text.strip():
            found.append(f"{column}:{said}")
        column += segment.cell_length
    return " ".join(found)


def _said(style: Style) -> str:
    parts = [
        name
        for name in ("bold", "dim", "italic", "underline", "reverse", "strike")
        if getattr(style, name)
    ]
    if style.color is not None and style.color.triplet is not None:
        parts.insert(0, style.color.triplet.hex)
    if style.bgcolor is not None and style.bgcolor.triplet is not None:
        parts.insert(1, f"on {style.bgcolor.triplet.hex}")
    return ",".join(parts)
