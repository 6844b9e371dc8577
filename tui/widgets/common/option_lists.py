"""Option lists and the command palette that tolerate keys and clicks while their rows change."""

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
    """An option list that ignores clicks on rows that are gone."""

    def on_click(self, event: events.Click) -> None:
        """Ignore a click on a row that is gone."""
        row = event.style.meta.get("option")
        if isinstance(row, int) and row >= self.option_count:
            event.prevent_default()


class SafeOptionList(_Clicked):
    """A list that fills a screen; it ignores page keys before its first layout."""

    DEFAULT_CSS = """
    SafeOptionList {
        height: 1fr;
        border: none;
        padding: 0;
        background: transparent;
        scrollbar-size-vertical: 1;
        &:focus { border: none; background-tint: transparent; }
        &:nocolor > .option-list--option-highlighted { text-style: underline; }
    }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)

    def action_page_up(self) -> None:
        """Move the highlight up by a page."""
        with suppress(LookupError):
            super().action_page_up()  # type: ignore[no-untyped-call]

    def action_page_down(self) -> None:
        """Move the highlight down by a page."""
        with suppress(LookupError):
            super().action_page_down()  # type: ignore[no-untyped-call]


class _Commands(CommandList, _Clicked):
    """The palette's list."""


class Palette(PatchedPalette):
    """The command palette with a safe list, dismissed once.

    Enter waits for the current search and runs its result.
    """

    def compose(self) -> ComposeResult:
        """Compose the widgets."""
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
        """Dismiss the palette; a second Enter must not dismiss the chat as well."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
