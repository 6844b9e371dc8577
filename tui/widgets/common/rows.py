"""A scrolling list that renders visible rows only and can follow its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from rich.text import Text
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

_Item = TypeVar("_Item")


class Rows(ScrollView, Generic[_Item], can_focus=True):
    """One line per item, below a titled rule."""

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
    """Whether the list follows its end, unless the user scrolled up."""

    def __init__(self, line: Callable[[_Item, int], Text], *, id: str) -> None:
        """`line` renders an item, at most as wide as its second argument."""
        super().__init__(id=id)
        self._line = line
        self._items: Sequence[_Item] = ()

    def show(self, items: Sequence[_Item]) -> None:
        """Show these items."""
        at_end = self.scroll_offset.y >= self.max_scroll_y
        self._items = items
        self.virtual_size = Size(0, len(items))
        if self.FOLLOWS and at_end:
            self._to_end()
        self.refresh()

    def on_resize(self) -> None:
        """Stay at the end when the size changes."""
        if self.FOLLOWS and not self.has_focus:
            self._to_end()

    def action_scroll_end(self) -> None:
        """Go to the end; at once if it is followed, because new rows would outdate an animation."""
        if self.FOLLOWS:
            self._to_end()
        else:
            super().action_scroll_end()

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
