"""Syntax highlighting, line by line, for code that may still grow.

Lines are highlighted in chunks, with preceding lines as context for multi-line strings. A complete
chunk is highlighted once, and looks the same in a finished block.
"""

from __future__ import annotations

from collections.abc import Sequence

from tui.markdown.blocks import Look

CHUNK_LINES = 128
"""Lines of a chunk; most blocks have fewer and are highlighted as a whole."""
BEFORE = 64
"""Lines of context before a chunk."""


class Highlighter:
    """The colours of one code block; `Look.name` is a style that Textual can parse."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._full: dict[int, list[list[Look]]] = {}
        self._last: tuple[Sequence[str], list[list[Look]]] = ((), [])

    def looks(self, lines: Sequence[str], number: int) -> list[Look]:
        """Return the styles of line `number`."""
        chunk = number // CHUNK_LINES
        found = self._full.get(chunk)
        if found is None:
            first = chunk * CHUNK_LINES
            own = lines[max(0, first - BEFORE) : first + CHUNK_LINES]
            if own != self._last[0]:
                before = first - max(0, first - BEFORE)
                self._last = (own, highlighted("\n".join(own), self._language)[before:])
            found = self._last[1]
            if len(lines) > first + CHUNK_LINES:
                self._full[chunk] = found
        return found[number % CHUNK_LINES] if number % CHUNK_LINES < len(found) else []


def highlighted(code: str, language: str) -> list[list[Look]]:
    """Return the styles of each line of code; none if the language is unknown.

    Underlines become bold, because they show marked parts.
    """
    lines = code.split("\n")
    looks: list[list[Look]] = [[] for _ in lines]
    if not language:
        return looks
    from textual.highlight import HighlightTheme, highlight

    content = highlight(code, language=language, theme=HighlightTheme)
    begins = [0]
    for text in lines:
        begins.append(begins[-1] + len(text) + 1)
    line = 0
    for start, end, style in content.spans:
        if (start, end) == (0, len(code)) or not isinstance(style, str):
            continue  # the default colour
        while line + 1 < len(lines) and begins[line + 1] <= start:
            line += 1
        at = line
        while at < len(lines) and begins[at] < end:
            from_, to = max(start - begins[at], 0), min(end - begins[at], len(lines[at]))
            if to > from_:
                looks[at].append(Look(from_, to, style.replace("underline", "bold")))
            at += 1
    return looks
