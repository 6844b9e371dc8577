"""Single widgets: the reply and the input."""

from __future__ import annotations

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.widgets import Markdown, Static

from tests.tui.screens import shown, until
from tui.text import StreamCleaner
from tui.themes import DARK
from tui.widgets.composer import Composer
from tui.widgets.reply import PART, Reply


class Bench(App[None]):
    """Holds one widget."""

    def __init__(self, widget: Reply | Composer) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.theme = DARK.name
        self.widget = widget
        self.sent: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.widget

    def on_composer_submitted(self, message: Composer.Submitted) -> None:
        self.sent.append(message.text)


async def test_a_reply_streams_as_plain_text_and_ends_as_markdown() -> None:
    reply = Reply()
    app = Bench(reply)
    async with app.run_test() as pilot:
        await pilot.pause()
        assert "…" in shown(app)
        for piece in ("Some **bo", "ld** text\nand `code`"):
            await reply.append(piece)
        await pilot.pause()
        assert "Some **bold** text" in shown(app)
        await reply.finish("Some **bold** text\nand `code`")
        await pilot.pause()
        assert [line.strip() for line in shown(app).splitlines()[:2]] == [
            "Some bold text",
            "and code",
        ]
        assert len(reply.query(Markdown)) == 1


async def test_a_reply_without_markdown_stays_plain() -> None:
    reply = Reply("Twelve. It's 3 + 4, and [bold]not[/bold] markup.")
    app = Bench(reply)
    async with app.run_test() as pilot:
        await pilot.pause()
        assert not reply.query(Markdown)
        assert "Twelve. It's 3 + 4, and [bold]not[/bold] markup." in shown(app)


async def test_a_long_reply_is_laid_down_in_parts_and_loses_nothing() -> None:
    reply = Reply()
    app = Bench(reply)
    lines = [f"line {number} of many" for number in range(400)]
    async with app.run_test() as pilot:
        for line in lines:
            await reply.append(line + "\n")
        await pilot.pause()
        parts = [str(part.content) for part in reply.query(Static)]
        assert len(parts) > 3 and all(len(part) <= PART for part in parts)
        assert "\n".join(parts).split("\n")[:-1] == lines


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[2J\x1b]0;x\x07 &#x202e; &#27;[31m **b** <script>alert(1)</script>",
        "![alt \x1b[1m](file:///etc/passwd) [li\u202enk](javascript:alert(1)) `\x9b31m`",
        "```\x1b[31m\n\x1b[2J code\n```\n| a\x07 | b |\n|---|---|\n| \u2066x | [bold]y[/] |",
        "# [@click=app.quit]head[/] \x1b[5m\n- [red]item[/red]\n> quote \u202e",
    ],
)
async def test_no_widget_of_a_reply_lets_control_characters_or_markup_through(hostile: str) -> None:
    reply = Reply()
    app = Bench(reply)
    async with app.run_test() as pilot:
        cleaner = StreamCleaner()
        for char in hostile:
            await reply.append(cleaner.feed(char))
        await reply.append(cleaner.finish())
        await pilot.pause()
        streamed = shown(app)
        await reply.finish(hostile)
        await pilot.pause()
        for screen in (streamed, shown(app)):
            assert not any(char in screen for char in "\x1b\x07\x9b\u202e\u2066")
        for tag in ("<script>", "[bold]", "[@click", "[red]"):
            if tag in hostile:
                assert tag in shown(app)


async def test_enter_sends_and_the_other_keys_break_the_line() -> None:
    composer = Composer("Ask")
    app = Bench(composer)
    async with app.run_test() as pilot:
        composer.focus()
        await pilot.press("a", "ctrl+j", "b", "shift+enter", "c", "alt+enter", "d", "enter")
        assert app.sent == ["a\nb\nc\nd"]
        assert composer.text == "a\nb\nc\nd"
        composer.take()
        await pilot.press("enter")
        assert len(app.sent) == 1


async def test_history_is_walked_and_the_draft_waits_at_its_end() -> None:
    composer = Composer("Ask")
    app = Bench(composer)
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


async def test_what_is_pasted_passes_the_gate() -> None:
    composer = Composer("Ask")
    app = Bench(composer)
    async with app.run_test():
        composer.focus()
        app.post_message(events.Paste("two\r\nlines\rand \x1b[31mred\x1b[0m \u202eend"))
        await until(lambda: composer.text)
        assert composer.text == "two\nlines\nand red end"
