"""Scripted replies in the real chat: following the end, thoughts, typing meanwhile."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from agent.chat.chat import Chat
from agent.chat.graph import Delta, Finished, Thought
from memory.difference import Turn, new_id, now
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.tui.seat import Seat, sitting, until
from tui.chat import thread_view
from tui.chat.thread_view import SHOWN_TURNS


@pytest.fixture
def quick(home: Home) -> Settings:
    """The starter with keyword search and no nights."""
    return read_settings(home, {"memory": {"dense": False}, "night": {"enabled": False}})


class Script:
    """The model's reply in two halves; the second waits until `on` is set."""

    def __init__(self, first: str, second: str = "", thoughts: Sequence[str] = ()) -> None:
        self.first, self.second, self.thoughts = first, second, thoughts
        self.on = threading.Event()

    def take_part(self, monkeypatch: pytest.MonkeyPatch) -> None:
        say = Chat.say

        def scripted(chat: Chat, *arguments: Any, **options: Any) -> Iterator[Any]:
            spoken = False
            for event in say(chat, *arguments, **options):
                if isinstance(event, Delta):
                    if not spoken:
                        yield from (Thought(text) for text in self.thoughts)
                        yield from (replace(event, text=char) for char in self.first)
                        self.on.wait(60)
                        yield from (replace(event, text=char) for char in self.second)
                    spoken = True
                elif isinstance(event, Finished):
                    yield replace(event, turn=replace(event.turn, replied=self.first + self.second))
                else:
                    yield event

        monkeypatch.setattr(Chat, "say", scripted)


ITEMS = "".join(f"- item **{n}** of many\n" for n in range(60))
MORE = (
    "".join(f"- item **{n}** of many\n" for n in range(60, 120)) + "\nThe end, [a]\n\n[a]: http://b"
)


async def painted(seat: Seat, words: str) -> None:
    page = seat.screen.transcript.turns[-1].reply.page
    await until(lambda: words in page.laid.text and page.size.height == page.laid.height)


def rows(seat: Seat) -> list[str]:
    """The top of the screen, without the scrollbar."""
    return [line[:70].rstrip() for line in seat.shown.splitlines()[:10]]


async def test_a_scrolled_up_view_stays_in_place_and_follows_again_at_the_end(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(ITEMS, MORE)
    script.take_part(monkeypatch)
    async with sitting(home, quick) as seat:
        transcript = seat.screen.transcript
        await seat.types("Go on")
        await painted(seat, "item 58")
        await seat.until(lambda: transcript.following)
        await seat.hits("pageup")
        await seat.until(lambda: not transcript.following)
        await seat.pilot.pause()
        stayed, seen = transcript.scroll_y, rows(seat)
        script.on.set()
        await seat.until(lambda: not seat.screen.conversation.streaming)
        await painted(seat, "The end, a")
        await seat.pilot.pause()
        assert transcript.scroll_y == stayed < transcript.max_scroll_y
        assert rows(seat) == seen
        while not transcript.following:
            await seat.hits("pagedown")
            await seat.pilot.pause()
        await seat.types("Go on")
        await painted(seat, "The end, a")
        await seat.until(lambda: not seat.screen.conversation.streaming)
        await seat.pilot.pause()
        assert transcript.following
        await seat.sees("The end, a")


async def test_scrolling_back_to_the_end_during_a_reply_follows_it(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(ITEMS, MORE.replace("[a]: http://b", ""))
    script.take_part(monkeypatch)
    async with sitting(home, quick) as seat:
        transcript = seat.screen.transcript
        await seat.types("Go on")
        await painted(seat, "item 58")
        await seat.hits("pageup")
        await seat.until(lambda: not transcript.following)
        while not transcript.following:
            await seat.hits("pagedown")
            await seat.pilot.pause()
        laid = seat.screen.transcript.turns[-1].reply.page.blocks[:30]
        script.on.set()
        await seat.until(lambda: not seat.screen.conversation.streaming)
        await painted(seat, "The end")
        await seat.pilot.pause()
        assert transcript.following
        after = seat.screen.transcript.turns[-1].reply.page.blocks[:30]
        assert all(one is other for one, other in zip(laid, after, strict=True))


async def test_text_typed_while_a_list_streams_is_kept_and_the_list_is_complete(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = [range(250), range(250, 500)]
    script = Script(*("".join(f"- item {n}\n" for n in half) for half in halves))
    script.take_part(monkeypatch)
    async with sitting(home, quick) as seat:
        await seat.types("Go on")
        await seat.until(lambda: seat.screen.conversation.streaming)
        await seat.hits(*"my_next_")
        script.on.set()
        await seat.hits(*"words")
        await seat.until(lambda: not seat.screen.conversation.streaming)
        page = seat.screen.transcript.turns[-1].reply.page
        assert page.laid.text.split("\n") == [f"item {n}" for n in range(500)]
        assert page.laid.height == 500
        assert seat.draft == "my_next_words"


async def test_a_thought_is_folded_and_its_key_unfolds_it(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script("So be it.", thoughts=("First I wonder, ", "then ", "I see."))
    script.on.set()
    script.take_part(monkeypatch)
    async with sitting(home, quick) as seat:
        await seat.types("Think")
        await seat.until(
            lambda: not seat.screen.conversation.streaming and seat.screen.transcript.turns
        )
        await seat.sees("▸ reasoning, 6 words: First I wonder, then I see.", "So be it.")
        await seat.hits("alt+up", "t")
        await seat.sees("▾ reasoning, 6 words", "First I wonder, then I see.", "So be it.")
        assert seat.shown.count("wonder") == 1
        assert seat.screen.transcript.turns[-1].reply.text == "So be it."
        await seat.sees("v part · t thought · w why")
        await seat.hits("t")
        await seat.sees("▸ reasoning, 6 words:")
        await seat.hits("escape")
        await seat.until(lambda: seat.screen.composer.has_focus)


async def test_a_reply_without_a_stored_thought_says_so(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script("Plain.")
    script.on.set()
    script.take_part(monkeypatch)
    async with sitting(home, quick) as seat:
        await seat.asks("Say")
        await seat.hits("alt+up", "t")
        await seat.sees("This reply has no reasoning")


async def test_loaded_objects_are_excluded_from_garbage_collection_until_the_chat_closes(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick):
        assert gc.get_freeze_count() > 10_000
    assert gc.get_freeze_count() == 0


async def test_a_thread_opens_with_as_many_of_its_last_turns_as_fit(
    home: Home, quick: Settings
) -> None:
    with Journal(home.journal) as journal:
        for number in range(40):
            journal.turns.add(Turn(new_id(), "t", now(), f"Question {number}?", ITEMS, "m"))
        for number in range(40):
            journal.turns.add(Turn(new_id(), "u", now(), f"Question {number}?", "Yes.", "m"))
    async with sitting(home, quick, thread="t") as seat:
        await seat.sees("item 59 of many")
        assert len(seat.screen.transcript.turns) == SHOWN_TURNS
    async with sitting(home, quick, thread="u", size=(80, 50)) as seat:
        await seat.sees("Question 39?", "Question 26?")


def is_answered(seat: Seat, asked: str) -> bool:
    return answered(seat) == asked


def answered(seat: Seat) -> str:
    """Return the last question once it is answered and the next may be asked."""
    turn = seat.screen.transcript.turns[-1].turn if seat.screen.transcript.turns else None
    return turn.asked if turn and not seat.screen.conversation.pending else ""


def turns_up_to_the_top(seat: Seat) -> int:
    """Scroll to the top, and count the turns that are mounted."""
    seat.screen.transcript.scroll_home(animate=False)
    return len(seat.screen.transcript.turns)


async def test_a_long_conversation_keeps_the_latest_turns_mounted_and_loads_others_on_demand(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_view, "MOST_TURNS", 6)
    monkeypatch.setattr(thread_view, "EARLIER_TURNS", 2)
    script = Script("- Yes.\n" * 9)
    script.on.set()
    script.take_part(monkeypatch)
    async with sitting(home, quick) as seat:
        for number in range(12):
            await seat.types(f"Question {number}?")
            await seat.until(partial(is_answered, seat, f"Question {number}?"))
            assert len(seat.screen.transcript.turns) <= 9
        # Loading earlier turns keeps the view in place, so scroll to the top again.
        await seat.until(lambda: turns_up_to_the_top(seat) == 12 and "Question 0?" in seat.shown)
        asked = [view.turn.asked for view in seat.screen.transcript.turns if view.turn]
        assert asked == [f"Question {number}?" for number in range(12)]
        await seat.types("And now?")
        await seat.until(lambda: answered(seat) == "And now?")
        assert len(seat.screen.transcript.turns) <= 9
        await seat.sees("And now?")
