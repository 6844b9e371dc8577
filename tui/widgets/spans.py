"""Parts of a reply on the screen and in its source: a mouse selection → a span, a span → lit words.

What a person sees is Markdown without its signs, in blocks that know which lines they were made from.
What cannot be told for certain is refused: a part of the wrong words would teach the wrong thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from memory.language import tr
from tui.marking import aligned, in_source

if TYPE_CHECKING:
    from textual.selection import Selection

LIT = "underline"
"""How a marked part looks; told without colour."""


def selected(
    reply: Widget, text: str, selections: Mapping[Widget, Selection]
) -> str | tuple[int, int]:
    """Return the span of `text`, the reply's source, that is selected; or why there is none."""
    parts = [(widget, choice) for widget, choice in selections.items() if _bears_text(widget)]
    inside = [part for part in parts if reply in part[0].ancestors_with_self]
    if not inside:
        return tr("Nothing of a reply is selected.")
    found: list[tuple[int, int]] = []
    for widget, choice in inside:
        shown = _plain(widget)
        start, end = _offsets(shown, choice)
        if not shown[start:end].strip():
            continue
        began, source = _source_of(reply, text, widget)
        own = began is not None and in_source(source, shown, start, end)
        if began is None or not own:
            return tr(
                "It cannot be told where these words stand in the reply; select fewer of them."
            )
        found.append((began + own[0], began + own[1]))
    if not found:
        return tr("Only blank space is selected.")
    return min(start for start, _ in found), max(end for _, end in found)


def light(reply: Widget, text: str, spans: Iterable[tuple[int, int]]) -> None:
    """Underline these spans of the source in what is shown of a reply; others go back to plain."""
    wanted = list(spans)
    for widget in _texts(reply):
        before = getattr(widget, "discern_plain", None)
        if before is None and not wanted:
            continue
        content = widget.content if before is None else before
        if not isinstance(content, Content):
            continue
        lit = content
        began, source = _source_of(reply, text, widget) if wanted else (None, "")
        if began is not None:
            places = aligned(source, content.plain)
            for start, end in wanted:
                hit = [
                    number
                    for number, place in enumerate(places)
                    if place is not None and start <= began + place < end
                ]
                if hit:
                    lit = lit.stylize(LIT, hit[0], hit[-1] + 1)
        if lit is not content or before is not None:
            widget.discern_plain = content  # type: ignore[attr-defined]
            widget.update(lit)


def _texts(reply: Widget) -> Iterator[Static]:
    for widget in reply.walk_children(Static):
        if _bears_text(widget):
            yield widget


def _bears_text(widget: Widget) -> bool:
    """Whether a widget shows words of a reply; bullets and frames do not."""
    return isinstance(widget, Static) and bool(_plain(widget))


def _plain(widget: Widget) -> str:
    content = widget.content if isinstance(widget, Static) else ""
    return content.plain if isinstance(content, Content) else str(content)


def _offsets(shown: str, selection: Selection) -> tuple[int, int]:
    lines = shown.split("\n")
    begins = [0]
    for line in lines:
        begins.append(begins[-1] + len(line) + 1)

    def place(x: int, y: int) -> int:
        if y >= len(lines):
            return len(shown)
        return begins[y] + min(max(x, 0), len(lines[y]))

    start, end = selection
    return (
        0 if start is None else place(start.x, start.y),
        len(shown) if end is None else place(end.x, end.y),
    )


def _source_of(reply: Widget, text: str, widget: Widget) -> tuple[int | None, str]:
    """Return where the lines that `widget` was made from begin in `text`, and these lines.

    Within a table a cell knows no lines of its own: its words must stand in the table but once.
    """
    from textual.widgets.markdown import Markdown, MarkdownBlock

    for node in widget.ancestors_with_self:
        if node is reply:
            break
        if isinstance(node, MarkdownBlock):
            written = node.query_ancestor(Markdown).source
            whole = text.find(written) if written else -1
            if whole < 0:
                return None, ""
            lines = written.splitlines(keepends=True)
            first, last = node.source_range
            began, source = whole + sum(map(len, lines[:first])), "".join(lines[first:last])
            shown = _plain(widget)
            if node is widget or "fence" in type(node).__name__.lower():
                return began, source
            if source.count(shown) == 1:
                at = source.index(shown)
                return began + at, shown
            return None, ""
    siblings = [item for item in reply.children if isinstance(item, Static) and item.display]
    began = 0
    for item in siblings:  # the parts of a reply that is plain or still streams
        if item is widget:
            return began, text[began : began + len(_plain(item))]
        began += len(_plain(item)) + 1
    return None, ""
