"""Unexpected errors under the open chat are shown in it; it continues and no text is lost."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from agent.chat.chat import Marks
from agent.chat.open_thread import OpenThread
from memory.errors import HomeError
from memory.journal.tables.branches import Branches
from memory.journal.tables.write_marks import Differences
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.tui.seat import Watched, sitting
from tui.chat.screen import ChatScreen
from tui.screens.help import HelpScreen
from tui.terminal.crash import CRASH_FILE

WHERE = 'raise KeyError("words that nobody may read in a file")'
"""The line of code, which the file holds."""


def full(*_arguments: Any, **_options: Any) -> NoReturn:
    raise HomeError("the disk is full; free some room")


async def test_a_message_refused_by_a_full_disk_returns_to_the_input(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks("first")
        with monkeypatch.context() as broken:
            broken.setattr(OpenThread, "sync", full)
            await seat.types("precious words")
            await seat.sees("The disk is full; free some room.", "› precious words")
            await seat.until(lambda: not seat.screen.conversation.pending)
            assert seat.draft == "precious words"
            assert len(seat.screen.transcript.turns) == 1
        await seat.hits("enter")
        await seat.until(lambda: len(seat.screen.transcript.turns) == 2)
        await seat.until(lambda: not seat.screen.conversation.pending)
        assert seat.screen.chat.thread.turns()[-1].asked == "precious words"


async def test_a_mark_made_during_a_reply_is_saved_even_if_the_hint_fails(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Marks, "hint", full)
    async with sitting(home, quick) as seat:
        await seat.types("Go on")
        await seat.types("/diff hold")
        await seat.sees("The disk is full; free some room.", "Saved as hold")
        assert len(seat.screen.chat.journal.differences.all()) == 1


async def test_a_failing_periodic_check_is_reported_once(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sitting(home, quick) as seat:
        monkeypatch.setattr(Differences, "change_count", full)
        for _ in range(3):
            await seat.screen._poll().wait()
        await seat.pilot.pause()
        assert seat.shown.count("The disk is full; free some room.") == 1


async def test_a_failing_handler_is_reported_occasionally_and_the_chat_continues(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_arguments: object) -> NoReturn:
        raise KeyError("words that nobody may read in a file")

    async with sitting(home, quick) as seat:
        assert isinstance(seat.app, Watched)
        seat.screen.composer.write("my draft")
        with monkeypatch.context() as broken:
            broken.setattr(ChatScreen, "on_composer_page", breaks)  # a message handler
            broken.setattr(ChatScreen, "action_walk", breaks)  # a key action
            for key in ("pageup", "pageup", "alt+up", "alt+up"):
                await seat.pilot.press(key)
        assert [type(error) for error in seat.app.unforeseen] == [KeyError] * 4
        seat.app.unforeseen.clear()
        await seat.sees("Internal error (KeyError", "You can continue the chat", CRASH_FILE)
        assert len(seat.app._notifications) == 1  # all in one notification
        kept = (home.state / CRASH_FILE).read_text()
        assert kept.startswith("KeyError\n")
        assert "nobody may read" not in kept.replace(WHERE, "")
        assert seat.draft == "my draft"
        await seat.asks("Still there?")


async def test_a_screen_that_cannot_be_created_ends_the_chat_with_one_sentence(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_arguments: object) -> NoReturn:
        raise KeyError("words")

    monkeypatch.setattr(HelpScreen, "compose", breaks)
    with pytest.raises(KeyError):
        async with sitting(home, quick) as seat:
            await seat.hits("f1")
            await seat.until(lambda: not seat.app.is_running)
            assert seat.app.return_code == 1


async def test_a_failing_worker_ends_neither_the_chat_nor_the_draft(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sitting(home, quick) as seat:
        seat.screen.composer.write("my draft")
        monkeypatch.setattr(Differences, "on_turns", full)
        monkeypatch.setattr(Branches, "siblings", full)
        seat.screen.thread.refresh_marks_later()
        await seat.sees("The disk is full; free some room.")
        assert seat.app.is_running
        assert seat.draft == "my draft"
