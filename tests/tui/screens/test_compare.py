"""The comparison screen."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.tui.seat import Seat, sitting
from tui.screens.compare import CompareScreen

QUESTION = "What is the capital of Zubrowka?"
SOUNDS = "The capital of Zubrowka is Lutz."


@pytest.fixture
def quick(quick: Settings) -> Settings:
    """The same settings without hints."""
    return quick.model_copy(update={"ui": quick.ui.model_copy(update={"hints": False})})


async def opened(seat: Seat, command: str = "/compare") -> CompareScreen:
    await seat.types(command)
    await seat.until(lambda: isinstance(seat.app.screen, CompareScreen))
    screen = seat.app.screen
    assert isinstance(screen, CompareScreen)
    await seat.until(lambda: screen._replies is not None)
    await seat.pilot.pause()
    return screen


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_comparing_the_last_message_turns_the_better_reply_into_a_mark(
    home: Home, quick: Settings, size: tuple[int, int]
) -> None:
    async with sitting(home, quick, size=size) as seat:
        await seat.asks(QUESTION)
        await seat.types(f"/diff error => {SOUNDS}")
        await seat.sees("Saved as error")
        screen = await opened(seat)
        await seat.sees("base+recall", "I don't know that yet.", SOUNDS, "better")
        assert screen.query_one(Input).value == QUESTION
        await seat.pilot.press("right")
        await seat.sees("base+recall ✓ better", "m use as the better answer")
        await seat.pilot.press("m")
        await seat.until(lambda: seat.app.screen is seat.screen)
        assert seat.draft == f"/diff error => {SOUNDS}"
        await seat.pilot.press("enter")
        await seat.until(lambda: len(seat.screen.chat.journal.differences.all()) == 2)
        assert seat.screen.chat.engine.adapter is None


async def test_blind_sides_are_revealed_after_a_choice(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        screen = await opened(seat, f"/compare {QUESTION}")
        await seat.pilot.press("b")
        await seat.until(lambda: screen._replies is not None)
        await seat.sees("side A", "side B", "blind")
        assert "base" not in seat.shown
        await seat.pilot.press("t")
        await seat.sees("base+recall", "a tie")
        await seat.pilot.press("1")  # the other side: recall against recall
        await seat.until(lambda: screen._at == [1, 1])
        await seat.pilot.press("escape")
        await seat.until(lambda: seat.app.screen is seat.screen)
        assert seat.draft == ""
