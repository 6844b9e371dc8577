"""The message input."""

from __future__ import annotations

from textual import events
from textual.app import App, ComposeResult

from tests.tui.seat import until
from tui.terminal.themes import DARK
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
