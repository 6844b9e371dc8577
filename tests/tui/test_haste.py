"""Keys that come all at once, as over a slow line: every one goes where it was meant."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from textual import events

from agent.chat import Chat
from memory.home import Home, Settings
from tests.tui.screens import Seat, sitting
from tests.tui.test_streaming import quick

__all__ = ["quick"]


async def rushes(seat: Seat, *lines: str) -> None:
    """Type these lines, Enter after each, without waiting for anything."""
    for line in lines:
        for char in line:
            seat.app.post_message(events.Key("space" if char == " " else char, char))
        seat.app.post_message(events.Key("enter", None))
    await seat.until(lambda: not seat.app._message_queue.qsize())
    await seat.pilot.pause()


def asked(seat: Seat) -> list[tuple[str, str]]:
    return [(turn.thread, turn.asked) for turn in seat.screen.chat.journal.turns(limit=9)]


async def test_a_message_right_behind_a_command_is_said_in_the_thread_that_the_command_opened(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks("first")
        await rushes(seat, "/thread other", "hello")
        await seat.until(lambda: len(asked(seat)) == 2 and not seat.screen.talk.asked)
        assert asked(seat) == [("main", "first"), ("other", "hello")]
        assert seat.draft == ""
        await rushes(seat, "/n", "more")  # what the menu would have offered for /n is taken
        await seat.until(lambda: len(asked(seat)) == 3 and not seat.screen.talk.asked)
        assert asked(seat)[-1][0] not in ("main", "other")
        assert asked(seat)[-1][1] == "more"
        await seat.sees("New thread:", "› more")


async def test_a_second_message_right_behind_the_first_waits_in_the_input(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await rushes(seat, "one", "two")
        await seat.until(lambda: asked(seat) and not seat.screen.talk.asked)
        assert asked(seat) == [("main", "one")]
        assert seat.draft == "two"


async def test_what_is_written_on_after_enter_while_the_model_loads_is_not_sent_half(
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
        assert not seat.screen.talk.asked
        assert asked(seat) == []
        assert seat.draft == "one_and_a_ha"


async def test_escape_right_behind_enter_stops_the_reply_that_has_not_begun(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bool] = []

    def waiting(chat: Chat, *_arguments: Any, **_options: Any) -> Iterator[Any]:
        heard.append(chat._stopping.wait(60))
        return iter(())

    monkeypatch.setattr(Chat, "say", waiting)
    async with sitting(home, quick) as seat:
        seat.screen.submit("one")
        seat.screen.action_back()
        await seat.until(lambda: not seat.screen.talk.asked)
        assert heard == [True]
