"""Lists in which a key may come before the rows are counted: right behind what filled them."""

from __future__ import annotations

from contextlib import suppress

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette
from textual.widgets import OptionList


class Listing(OptionList):
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


class Palette(CommandPalette):
    """Textual's own, with the same care for its list, and left once."""

    def dismiss(self, result: None = None) -> AwaitComplete:
        """Leave; a second Enter on its way by then must not take the chat, too."""
        return super().dismiss(result) if self.is_active else AwaitComplete()

    def _action_command_list(self, action: str) -> None:
        with suppress(LookupError):
            super()._action_command_list(action)
