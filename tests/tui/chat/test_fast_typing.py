"""Keys that arrive all at once, as over a slow connection: each acts where it was meant to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from textual import events

from agent.chat.chat import Chat
from agent.chat.context_usage import measure_context
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.tui.seat import Seat, sitting
from tui.screens.context import ContextScreen
from tui.widgets.common.option_lists import SafeOptionList


async def rushes(seat: Seat, *lines: str) -> None:
    """Type these lines, Enter after each, without waiting for anything."""
    for line in lines:
        for char in line:
            seat.app.post_message(events.Key("space" if char == " " else char, char))
        seat.app.post_message(events.Key("enter", None))
    await seat.heard()
    await seat.pilot.pause()


def asked(seat: Seat) -> list[tuple[str, str]]:
    return [(turn.thread, turn.asked) for turn in seat.screen.chat.journal.turns.latest(limit=9)]


async def test_a_message_typed_right_after_a_command_goes_to_the_thread_that_the_command_opened(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks("first")
        await rushes(seat, "/thread other", "hello")
        await seat.until(lambda: len(asked(seat)) == 2 and not seat.screen.conversation.pending)
        assert asked(seat) == [("main", "first"), ("other", "hello")]
        assert seat.draft == ""
        await rushes(seat, "/n", "more")  # completes to the menu's first entry for /n
        await seat.until(lambda: len(asked(seat)) == 3 and not seat.screen.conversation.pending)
        assert asked(seat)[-1][0] not in ("main", "other")
        assert asked(seat)[-1][1] == "more"
        await seat.sees("New thread:", "› more")


async def test_a_second_message_typed_right_after_the_first_waits_in_the_input(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await rushes(seat, "one", "two")
        await seat.until(lambda: asked(seat) and not seat.screen.conversation.pending)
        assert asked(seat) == [("main", "one")]
        assert seat.draft == "two"


async def test_text_typed_after_enter_while_the_model_loads_is_not_sent_partially(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    on, opened = threading.Event(), Chat.open

    def slowly(*arguments: Any, **options: Any) -> Chat:
        on.wait(60)
        return opened(*arguments, **options)

    monkeypatch.setattr(Chat, "open", slowly)
    async with sitting(home, quick, ready=False) as seat:
        await seat.until(lambda: len(seat.app.screen_stack) > 1)
        await seat.sees("loading")
        seat.screen.composer.focus()
        await rushes(seat, "one")
        await seat.sees("sent when ready")
        await seat.hits(*"_and_a_ha")
        await seat.until(lambda: seat.draft == "one_and_a_ha")
        on.set()
        await seat.ready()
        assert not seat.screen.conversation.pending
        assert asked(seat) == []
        assert seat.draft == "one_and_a_ha"


async def test_escape_right_after_enter_stops_the_reply_before_it_begins(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bool] = []

    def waiting(chat: Chat, *_arguments: Any, **_options: Any) -> Iterator[Any]:
        heard.append(chat._stopping.wait(60))
        return iter(())

    monkeypatch.setattr(Chat, "say", waiting)
    async with sitting(home, quick) as seat:
        seat.screen.submission.submit("one")
        seat.screen.action_back()
        await seat.until(lambda: not seat.screen.conversation.pending)
        assert heard == [True]


@pytest.mark.parametrize("command", ["sessions", "memory", "context hi", "compare hi", "help"])
async def test_repeated_escape_closes_a_screen_but_not_the_chat(
    home: Home, quick: Settings, command: str
) -> None:
    async with sitting(home, quick) as seat:
        seat.screen.submission.run_command(f"/{command}")
        await seat.until(lambda: len(seat.app.screen_stack) == 3)
        await seat.pilot.pause()
        for _ in range(4):
            seat.app.post_message(events.Key("escape", None))
        await seat.until(lambda: len(seat.app.screen_stack) < 3)
        await seat.pilot.pause()
        assert seat.app.screen is seat.screen


async def test_escape_right_after_opening_closes_a_screen_before_its_layout(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        for steps in range(0, 30, 2):  # at any stage of the opening
            seat.screen.submission.run_command("/sessions")
            await seat.until(lambda: len(seat.app.screen_stack) == 3)
            for _ in range(steps):
                await asyncio.sleep(0)
            seat.app.screen.dismiss(None)
            await seat.until(lambda: len(seat.app.screen_stack) == 2)
            await seat.pilot.pause()
        assert seat.app.screen is seat.screen


async def test_a_key_acts_only_on_the_screen_it_was_pressed_on(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        for steps in range(1, 12):  # at any stage of the key's bubbling
            seat.app.post_message(events.Key("escape", None))
            for _ in range(steps):
                await asyncio.sleep(0)
            opened = ContextScreen(measure_context(seat.screen.chat, ""))
            seat.app.push_screen(opened)
            await seat.pilot.pause()
            assert seat.app.screen is opened
            opened.dismiss(None)
            await seat.until(lambda: len(seat.app.screen_stack) == 2)
            await seat.pilot.pause()


async def test_repeated_enter_in_the_palette_leaves_the_chat_open(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        seat.app.action_command_palette()
        await seat.pilot.pause()
        for key in (*"threads", "enter", "enter", "enter"):
            seat.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await seat.sees("No threads yet")
        assert seat.app.screen is seat.screen


async def test_a_click_on_a_place_that_the_terminal_lost_keeps_the_palette(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        seat.app.action_command_palette()
        await seat.pilot.pause()
        palette = seat.app.screen
        palette.post_message(events.Click(palette, 8, 900, 0, 0, 1, False, False, False, 8, 900))
        await seat.heard()
        await seat.pilot.pause()
        assert seat.app.screen is palette
        palette.post_message(events.Click(palette, 0, 0, 0, 0, 1, False, False, False, 0, 0))
        await seat.until(lambda: seat.app.screen is not palette)


async def test_a_page_key_in_a_list_that_was_just_filled_works() -> None:
    listing = SafeOptionList()
    for move in (listing.action_page_down, listing.action_page_up):
        listing.add_options(["one", "two"])
        listing.highlighted = 0
        move()
        assert listing.highlighted == 0


async def test_keys_after_the_one_that_quits_are_ignored(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        seat.screen.leave()
        for key in (*"abc", "enter", "escape", "f1"):
            seat.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await seat.until(lambda: not seat.app.is_running)
        assert seat.app.return_code == 0
