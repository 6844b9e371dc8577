"""The transcript: turns and notices below each other.

It follows the end unless the user has scrolled up. A cursor moves over the replies to select one of
them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from textual.containers import VerticalScroll
from textual.message import Message
from textual.widget import Widget

from tui.widgets.chat.notice import Hint, Notice
from tui.widgets.chat.turn import TurnView
from tui.widgets.chat.welcome import Welcome


class Transcript(VerticalScroll):
    """The scrolling part of the chat."""

    DEFAULT_CSS = """
    Transcript {
        height: 1fr;
        padding: 0 0 1 0;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        &:focus { background-tint: transparent; }
    }
    """

    class Chosen(Message):
        """The cursor moved to another reply; None if it was cleared."""

        def __init__(self, view: TurnView | None) -> None:
            super().__init__()
            self.view = view

    class NearTop(Message):
        """The user scrolled near the top; earlier turns may be needed."""

    def __init__(self) -> None:
        super().__init__(id="transcript")
        self.chosen: TurnView | None = None

    def on_mount(self) -> None:
        """Follow the end."""
        self.anchor()

    @property
    def turns(self) -> list[TurnView]:
        """The turns, oldest first."""
        return list(self.query_children(TurnView))

    def view_of(self, turn: str) -> TurnView | None:
        """Return the view of a turn by its id, if it is mounted."""
        for view in self.turns:
            if view.turn is not None and view.turn.id == turn:
                return view
        return None

    def turn_around(self, widget: Widget) -> TurnView | None:
        """Return the turn that contains a widget."""
        return next((view for view in self.turns if view in widget.ancestors), None)

    @property
    def chosen_or_last(self) -> TurnView | None:
        """The reply under the cursor, else the last one."""
        views = self.turns
        return self.chosen or (views[-1] if views else None)

    @property
    def following(self) -> bool:
        """Whether the transcript is scrolled to the end."""
        return self.max_scroll_y - self.scroll_y < 1

    def follow(self) -> None:
        """Scroll to the end and follow it."""
        self.anchor()

    def page_down(self) -> None:
        """Scroll a page down; a page that reaches the end follows it again.

        Textual only does this if the scroll position is exactly at the end, which moves while text
        streams.
        """
        if self.max_scroll_y - self.scroll_y <= self.scrollable_content_region.height:
            self.follow()
        else:
            self.scroll_page_down(animate=False)

    async def show(self, widgets: Sequence[Widget]) -> None:
        """Replace everything, and follow the end."""
        self.choose(None)
        with self.app.batch_update():
            await self.remove_children()
            await self.mount_all(widgets)
        self.anchor()
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        """Ask for earlier turns if a tall screen has room for more."""
        if self.max_scroll_y == 0 and self.turns:
            self.post_message(self.NearTop())

    async def add(self, widget: Widget) -> None:
        """Mount a turn or a notice at the end."""
        if not isinstance(widget, Welcome | Notice):
            await self.query(Welcome).remove()
        await self.mount(widget)

    async def remove_from(self, view: TurnView) -> None:
        """Remove a turn and everything below it."""
        children = list(self.children)
        if view in children:
            self.choose(None)
            await self.remove_children(children[children.index(view) :])

    async def remove_above(self, view: TurnView) -> None:
        """Remove everything above a turn."""
        children = list(self.children)
        await self.remove_children(children[: children.index(view)])
        self.call_after_refresh(self._fill)

    async def insert_above(self, widgets: Sequence[Widget]) -> None:
        """Mount earlier turns above, without moving the visible text."""
        first = next(iter(self.children), None)
        if first is None or not widgets:
            return
        below, followed = first.virtual_region.y - self.scroll_y, self.following
        await self.mount_all(widgets, before=first)
        done = asyncio.Event()

        def settle() -> None:
            if followed:
                self.anchor()
            elif first.is_attached:
                self.scroll_to(
                    y=first.virtual_region.y - below, animate=False, immediate=True, force=True
                )
            done.set()

        self.call_after_refresh(settle)
        with suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), 1)

    @property
    def near_top(self) -> bool:
        """Whether less than a page is above the visible part."""
        return self.scroll_y < self.size.height

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Ask for earlier turns near the top."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and self.near_top:
            self.post_message(self.NearTop())

    async def remove_hints(self) -> bool:
        """Remove hints and refusals; return whether there were any hints."""
        found = bool(self.query_children(Hint))
        hints = self.query_children("Hint, Refusal")
        await hints.remove()
        return found

    def choose(self, view: TurnView | None) -> None:
        """Move the cursor to a reply; None clears it."""
        if self.chosen is view:
            return
        if self.chosen is not None:
            self.chosen.remove_class("-chosen")
        self.chosen = view
        if view is not None:
            view.add_class("-chosen")
            self.scroll_to_widget(view, animate=False)
        self.post_message(self.Chosen(view))

    def _first(self, views: Sequence[TurnView]) -> TurnView:
        """Return the first reply to select: the one that a hint is about, else the last."""
        hinted = {hint.turn for hint in self.query_children(Hint)}
        return next((v for v in views if v.turn and v.turn.id in hinted), views[-1])

    def walk(self, step: int) -> None:
        """Move the cursor to the previous or next reply; clear it after the last one."""
        views = self.turns  # including a streaming one, which can already be marked
        if not views:
            return
        if self.chosen is None or self.chosen not in views:
            self.choose(self._first(views) if step < 0 else None)
            return
        at = views.index(self.chosen) + step
        if at >= len(views):
            self.choose(None)
            self.follow()
        elif at >= 0:
            self.choose(views[at])
        if at <= 0:
            self.post_message(self.NearTop())
