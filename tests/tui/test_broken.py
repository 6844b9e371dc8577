"""What breaks beneath the open chat is said in it; the chat goes on and nothing written is lost."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from agent.chat import Chat
from memory.errors import HomeError
from memory.home import Home, Settings
from memory.journal import Journal
from tests.tui.screens import sitting
from tests.tui.test_streaming import quick

__all__ = ["quick"]


def full(*_arguments: Any, **_options: Any) -> NoReturn:
    raise HomeError("the disk is full; free some room")


async def test_a_message_that_a_full_disk_refuses_stands_in_the_input_again(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks("first")
        with monkeypatch.context() as broken:
            broken.setattr(Chat, "follow", full)
            await seat.types("precious words")
            await seat.sees("The disk is full; free some room.", "› precious words")
            await seat.until(lambda: not seat.screen.talk.asked)
            assert seat.draft == "precious words"
            assert len(seat.screen.transcript.turns) == 1
        await seat.hits("enter")
        await seat.until(lambda: len(seat.screen.transcript.turns) == 2)
        await seat.until(lambda: not seat.screen.talk.asked)
        assert seat.screen.chat.turns()[-1].asked == "precious words"


async def test_a_mark_made_while_a_reply_streams_is_kept_though_the_hint_after_it_breaks(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Chat, "hint", full)
    async with sitting(home, quick) as seat:
        await seat.types("Go on")
        await seat.types("/diff hold")
        await seat.sees("The disk is full; free some room.", "Kept as hold")
        assert len(seat.screen.chat.journal.differences()) == 1


async def test_what_breaks_at_every_look_around_is_said_once(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sitting(home, quick) as seat:
        monkeypatch.setattr(Journal, "watermark", full)
        for _ in range(3):
            await seat.screen._poll().wait()
        await seat.pilot.pause()
        assert seat.shown.count("The disk is full; free some room.") == 1


async def test_a_worker_that_breaks_ends_neither_the_chat_nor_the_draft(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sitting(home, quick) as seat:
        seat.screen.composer.write("my draft")
        monkeypatch.setattr(Journal, "of_turns", full)
        monkeypatch.setattr(Journal, "siblings", full)
        seat.screen.recolour()
        await seat.sees("The disk is full; free some room.")
        assert seat.app.is_running
        assert seat.draft == "my draft"
