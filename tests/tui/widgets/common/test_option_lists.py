"""The command palette."""

from __future__ import annotations

from textual.command import Command, CommandList

from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.tui.seat import sitting
from tui.widgets.common.option_lists import Palette


async def test_commands_found_after_the_palette_was_closed_are_ignored(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.hits("ctrl+p")
        await seat.until(lambda: isinstance(seat.app.screen, Palette))
        palette = seat.app.screen
        assert isinstance(palette, Palette)
        await seat.until(lambda: palette.query(CommandList))
        rows = palette.query_one(CommandList)
        await seat.until(lambda: rows.option_count)
        found = [row for row in rows.options if isinstance(row, Command)]
        palette._list_visible = False
        await rows.remove()
        palette._refresh_command_list(rows, found, clear_current=True)
        assert rows.option_count == len(found) > 0


async def test_the_palette_opens_while_the_closed_one_is_still_being_removed(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.hits("ctrl+p")
        await seat.until(lambda: isinstance(seat.app.screen, Palette))
        first = seat.app.screen
        await seat.until(lambda: first.query(CommandList))
        first.dismiss(None)
        seat.app.action_command_palette()
        await seat.until(lambda: isinstance(seat.app.screen, Palette))
        second = seat.app.screen
        assert second is not first
        await seat.until(lambda: second.query(CommandList))
