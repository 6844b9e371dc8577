"""Many rows that scroll, each made only when it is seen; a list that follows its end may do so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from rich.text import Text
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

Item = TypeVar("Item")


class Rows(ScrollView, Generic[Item], can_focus=True):
    """One line an item, under a rule with a title; `line` says what stands there."""

    DEFAULT_CSS = """
    Rows {
        height: 1fr;
        background: transparent;
        border-top: solid $line;
        border-title-color: $muted;
        border-title-style: none;
        padding: 0 1;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        &:focus {
            background-tint: transparent;
            border-top: heavy $accent;
            border-title-color: $accent;
            height: 2fr;
        }
    }
    """
    FOLLOWS = False
    """Whether the end stays in sight as rows come, unless the person scrolled away from it."""

    def __init__(self, line: Callable[[Item, int], Text], *, id: str) -> None:
        """`line` returns an item's line, at most as many columns wide as it is told."""
        super().__init__(id=id)
        self._line = line
        self._items: Sequence[Item] = ()

    def show(self, items: Sequence[Item]) -> None:
        """Show these."""
        at_end = self.scroll_offset.y >= self.max_scroll_y
        self._items = items
        self.virtual_size = Size(0, len(items))
        if self.FOLLOWS and at_end:
            self._to_end()
        self.refresh()

    def on_resize(self) -> None:
        """Keep to the end when the room changes."""
        if self.FOLLOWS and not self.has_focus:
            self._to_end()

    def _to_end(self) -> None:
        self.scroll_end(animate=False, force=True, immediate=True, x_axis=False)

    def render_line(self, y: int) -> Strip:
        """Return the line at a row of the screen."""
        at, width = y + self.scroll_offset.y, self.scrollable_content_region.width
        if not 0 <= at < len(self._items):
            return Strip.blank(width, self.rich_style)
        text = self._line(self._items[at], width)
        text.truncate(width, overflow="ellipsis", pad=True)
        return Strip(text.render(self.app.console)).apply_style(self.rich_style)
