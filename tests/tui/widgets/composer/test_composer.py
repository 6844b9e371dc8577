"""The message input and the command palette."""

from __future__ import annotations

from textual import events
from textual.app import App, ComposeResult
from textual.command import Command, CommandList

from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.tui.seat import sitting, until
from tui.terminal.themes import DARK
from tui.widgets.common.option_lists import Palette
from tui.widgets.composer.composer import Composer


class Bench(App[None]):
    """Holds one widget."""

    def __init__(self) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.theme = DARK.name
        self.sent: list[str] = []
        self.widget = Composer("Ask", self._send, lambda _move: None)

    def compose(self) -> ComposeResult:
        yield self.widget

    def _send(self) -> None:
        if self.widget.text:
            self.sent.append(self.widget.text)


async def test_enter_sends_and_the_other_keys_insert_a_newline() -> None:
    app = Bench()
    composer = app.widget
    async with app.run_test() as pilot:
        composer.focus()
        await pilot.press("a", "ctrl+j", "b", "shift+enter", "c", "alt+enter", "d", "enter")
        assert app.sent == ["a\nb\nc\nd"]
        assert composer.text == "a\nb\nc\nd"
        composer.take()
        await pilot.press("enter")
        assert len(app.sent) == 1


async def test_history_is_browsed_and_the_draft_is_at_its_end() -> None:
    app = Bench()
    composer = app.widget
    async with app.run_test() as pilot:
        composer.focus()
        composer.remember(["first", "second\nof two lines"])
        await pilot.press("d", "up")
        assert composer.text == "second\nof two lines"
        await pilot.press("up", "up")
        assert composer.text == "first"
        await pilot.press("up")
        assert composer.text == "first"
        await pilot.press("down", "down")
        assert composer.text == "d"


async def test_pasted_text_is_unchanged() -> None:
    app = Bench()
    composer = app.widget
    async with app.run_test():
        composer.focus()
        text = "two\r\nlines\rand \x1b[31mred\x1b[0m \u202eend"
        app.post_message(events.Paste(text))
        await until(lambda: composer.text)
        assert composer.text == text


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
