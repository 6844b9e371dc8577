"""Retrying, editing, switching branches, copying."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.chat.chat import Chat
from memory.difference import Turn, new_id, now
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.tui.seat import Seat, sitting

TURNS = 90


@pytest.fixture
def tiny_settings(home: Home, tiny: Path) -> Settings:
    return read_settings(
        home,
        {
            "model": {"path": str(tiny)},
            "sampling": {"temperature": 0.0, "max_tokens": 6},
            "memory": {"dense": False},
            "night": {"enabled": False},
        },
    )


def said(home: Home, *pairs: tuple[str, str]) -> list[str]:
    """Write turns into the journal; return their ids."""
    with Journal(home.journal) as journal, journal.transaction():
        turns = [Turn(new_id(), "main", now(), asked, replied, "m") for asked, replied in pairs]
        for turn in turns:
            journal.turns.add(turn)
    return [turn.id for turn in turns]


def asked(seat: Seat) -> list[str]:
    return [view.asked for view in seat.screen.transcript.turns]


async def test_a_retried_message_has_two_replies_to_switch_between(
    home: Home, tiny_settings: Settings
) -> None:
    async with sitting(home, tiny_settings) as seat:
        await seat.types("/retry")
        await seat.sees("There is no message to ask again yet")
        await seat.asks("One")
        await seat.asks("Two")
        first = seat.screen.transcript.turns[-1].turn
        assert first is not None
        await seat.types("/retry")
        await seat.sees("Two", "‹ 2/2 ›")
        await seat.until(lambda: not seat.screen.conversation.streaming)
        assert asked(seat) == ["One", "Two"]
        await seat.pilot.press("alt+up", "left_square_bracket")
        await seat.sees("‹ 1/2 ›")
        chosen = seat.screen.transcript.chosen
        assert chosen is not None
        assert chosen.turn is not None
        assert chosen.turn.id == first.id
        await seat.pilot.press("alt+left")
        await seat.sees("This is branch 1/2")
        await seat.pilot.press("alt+right")
        await seat.sees("‹ 2/2 ›")


async def test_an_edited_message_starts_a_branch_and_the_thread_stays_on_it(
    home: Home, tiny_settings: Settings
) -> None:
    async with sitting(home, tiny_settings) as seat:
        for text in ("One", "Two", "Three"):
            await seat.asks(text)
        seat.screen.composer.write("a draft")
        await seat.pilot.press("alt+up", "alt+up", "e")
        assert seat.draft == "Two"
        await seat.sees("editing: Two")
        await seat.pilot.press("escape")
        assert seat.draft == "a draft"
        assert asked(seat) == ["One", "Two", "Three"]
        await seat.pilot.press("alt+up", "alt+up", "e")
        seat.screen.composer.write("Other two")
        await seat.pilot.press("enter")
        await seat.until(lambda: asked(seat) == ["One", "Other two"])
        await seat.until(lambda: not seat.screen.conversation.streaming)
        await seat.sees("‹ 2/2 ›")
        assert seat.draft == "a draft"
    with Chat.open(home, tiny_settings) as chat:  # what `discern ask --continue` opens
        assert [turn.asked for turn in chat.thread.turns()] == ["One", "Other two"]
    async with sitting(home, tiny_settings) as seat:
        await seat.until(lambda: asked(seat) == ["One", "Other two"])
        await seat.pilot.press("alt+up", "[")
        await seat.until(lambda: asked(seat) == ["One", "Two", "Three"])


async def test_an_overlong_edited_message_leaves_the_branch_unchanged(
    home: Home, tiny_settings: Settings
) -> None:
    async with sitting(home, tiny_settings) as seat:
        await seat.asks("One")
        await seat.asks("Two")
        await seat.types("/edit")
        await seat.until(lambda: seat.draft == "Two")
        await seat.types("much too long " * 5000)
        await seat.sees("shorten the message")
        assert asked(seat) == ["One", "Two"]
        assert "much too long" in seat.draft


@pytest.mark.slow
async def test_earlier_turns_are_loaded_while_scrolling_and_nothing_jumps(
    home: Home, tiny_settings: Settings
) -> None:
    said(home, *((f"question {number}", f"reply {number}") for number in range(TURNS)))
    async with sitting(home, tiny_settings) as seat:
        transcript = seat.screen.transcript
        assert len(transcript.turns) < TURNS / 2
        assert asked(seat)[-1] == f"question {TURNS - 1}"
        await seat.until(lambda: not seat.screen.thread.loading_earlier)
        transcript.scroll_to(y=5, animate=False, immediate=True)
        top = transcript.turns[0]
        place = top.virtual_region.y - transcript.scroll_y
        count = len(transcript.turns)
        await seat.until(lambda: len(transcript.turns) > count)
        await seat.until(lambda: top.virtual_region.y - transcript.scroll_y == place)

        def up() -> bool:
            transcript.scroll_home(animate=False, immediate=True)
            return asked(seat) == [f"question {number}" for number in range(TURNS)]

        await seat.until(up)


async def test_a_reply_and_its_code_are_copied_as_source(
    home: Home, tiny_settings: Settings
) -> None:
    long = "a line that is far longer than the screen is wide " * 4
    reply = f"{long.strip()}\n\n```python\nx = 1\n    y = 2\n```\n\nand\n\n```\nlast\n```"
    said(home, ("code?", reply), ("none?", "No code."))
    async with sitting(home, tiny_settings) as seat:
        await seat.pilot.press("alt+up", "Y")
        await seat.sees("This reply contains no code")
        await seat.pilot.press("alt+up", "y")
        assert seat.app.clipboard == reply
        await seat.pilot.press("Y")
        assert seat.app.clipboard == "x = 1\n    y = 2"
        await seat.pilot.press("Y")
        assert seat.app.clipboard == "last"
        await seat.sees("Copied code block 2 of 2")
        await seat.pilot.press("escape")
        view = seat.screen.transcript.turns[0]
        view.text_select_all()
        await seat.pilot.press("ctrl+c")
        assert long.strip() in seat.app.clipboard
        assert not any(line.endswith(" ") for line in seat.app.clipboard.split("\n"))


async def test_the_context_screen_shows_the_prompt_of_the_model(
    home: Home, tiny_settings: Settings
) -> None:
    said(home, ("One?", "First."), ("Two?", "Second."))
    async with sitting(home, tiny_settings) as seat:
        await seat.types("/context Three?")
        await seat.sees(
            "Prompt for the next message", "4 messages", "of 512", "<|im_start|>user Three?"
        )
        await seat.pilot.press("escape")
        await seat.sees("tiny-qwen3 · base")
        assert seat.screen.composer.has_focus


@pytest.mark.slow
async def test_a_tall_screen_is_filled_with_earlier_turns_and_follows_the_end(
    home: Home, tiny_settings: Settings
) -> None:
    said(home, *((f"question {number}", f"reply {number}") for number in range(TURNS)))
    async with sitting(home, tiny_settings, size=(80, 100)) as seat:
        transcript = seat.screen.transcript
        await seat.until(lambda: not transcript.near_top and transcript.following)
        await seat.asks("one more")
        assert transcript.following
        assert "one more" in seat.shown
