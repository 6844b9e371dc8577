"""Conversion between the screen and the source of a reply: selections to spans, spans to underlines.

The screen shows Markdown without its syntax, in blocks that store their position in the source. An
ambiguous selection is refused, because training on the wrong words would do harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from textual.widget import Widget

from memory.i18n.interface_language import tr
from tui.markdown.blocks import Place, places
from tui.markdown.view import MarkdownView
from tui.widgets.marking.mark_gesture import align, find_in_source

if TYPE_CHECKING:
    from textual.selection import Selection

TextRange = tuple[int, int]


def selected(reply: Widget, text: str, selections: Mapping[Widget, Selection]) -> str | TextRange:
    """Return the selected span of `text`, the reply's source, or an error message."""
    pages = [page for page in _texts(reply) if page in selections]
    if not pages:
        return tr("No reply text is selected.")
    found: list[TextRange] = []
    for page in pages:
        parts = list(_parts(page, *page.laid.selected(selections[page])))
        for shown, place, start, end in parts[:1] + parts[-1:]:
            own = find_in_source(text[slice(*place.source)], shown, start, end)
            if own is None:
                return tr("Cannot locate the selection in the reply; select fewer words.")
            found.append((place.source[0] + own[0], place.source[0] + own[1]))
    if not found:
        return tr("Only whitespace is selected.")
    return min(start for start, _ in found), max(end for _, end in found)


def underline_spans(reply: Widget, text: str, spans: Iterable[TextRange]) -> None:
    """Underline these spans of the source in a reply, and no others."""
    wanted = list(spans)
    for page in _texts(reply):
        lit: dict[int, list[TextRange]] = {}
        for number, block in enumerate(page.blocks if wanted else ()):
            for place in places(block):
                began, ended = place.source
                reached = [span for span in wanted if span[0] < ended and span[1] > began]
                if not reached:
                    continue
                shown = block.text[place.start : place.end]
                sources = align(text[began:ended], shown)
                for start, end in reached:
                    hit = [
                        at
                        for at, source in enumerate(sources)
                        if source is not None and start <= began + source < end
                    ]
                    if hit:
                        part = (place.start + hit[0], place.start + hit[-1] + 1)
                        lit.setdefault(number, []).append(part)
        page.underline(lit)


def _parts(page: MarkdownView, start: int, end: int) -> Iterator[tuple[str, Place, int, int]]:
    """Yield the selected parts: a text, its place, and the selected range."""
    for block, begin in zip(page.blocks, page.laid.begins, strict=False):
        if begin >= end or begin + len(block.text) <= start:
            continue
        for place in places(block):
            shown = block.text[place.start : place.end]
            first = max(0, start - begin - place.start)
            last = min(len(shown), end - begin - place.start)
            if shown[first:last].strip():
                yield shown, place, first, last


def _texts(reply: Widget) -> Iterator[MarkdownView]:
    for page in reply.walk_children(MarkdownView):
        if page.laid.text:
            yield page
