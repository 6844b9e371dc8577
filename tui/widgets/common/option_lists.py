"""Lists in which a key or a click may come right behind what filled or emptied them."""

from __future__ import annotations

from contextlib import suppress

from textual import events, on, work
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.command import CommandList
from textual.widgets import Input, OptionList
from textual.worker import WorkerError

from tui.terminal.textual_patches.widgets import PatchedPalette


class _Clicked(OptionList):
    """Textual takes the row that was painted where a click fell; by now there may be fewer."""

    def on_click(self, event: events.Click) -> None:
        """Ignore a click on a row that is gone."""
        row = event.style.meta.get("option")
        if isinstance(row, int) and row >= self.option_count:
            event.prevent_default()


class SafeOptionList(_Clicked):
    """Textual's own, but that a page up or down before the first laying out does nothing."""

    def __init__(self) -> None:
        super().__init__(markup=False)

    def action_page_up(self) -> None:
        """Move the choice up by a page."""
        with suppress(LookupError):
            super().action_page_up()  # type: ignore[no-untyped-call]

    def action_page_down(self) -> None:
        """Move the choice down by a page."""
        with suppress(LookupError):
            super().action_page_down()  # type: ignore[no-untyped-call]


class _Commands(CommandList, _Clicked):
    """The palette's list."""


class Palette(PatchedPalette):
    """Textual's command palette, with the same care for its list, dismissed once.

    Enter takes what was found for the words before it, also while the search goes on.
    """

    def compose(self) -> ComposeResult:
        """Lay the parts down."""
        for part in super().compose():
            yield _Commands() if isinstance(part, CommandList) else part

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        event.prevent_default()
        self._take_when_found()

    @work(group="take")
    async def _take_when_found(self) -> None:
        while searches := self.searches:
            for search in searches:
                with suppress(WorkerError):
                    await search.wait()
        if self.is_active:
            self.select()

    def dismiss(self, result: None = None) -> AwaitComplete:
        """Leave; a second Enter on its way by then must not take the chat, too."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
