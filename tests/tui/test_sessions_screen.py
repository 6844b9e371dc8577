"""Journeys through all past talk."""

from __future__ import annotations

from memory.difference import Turn, new_id, now
from memory.home import Home, read_settings
from memory.journal import Journal
from tests.tui.screens import sitting
from tui.screens.sessions import SessionsScreen


def told(home: Home, *said: tuple[str, str, str]) -> None:
    with Journal(home.journal) as journal:
        for thread, asked, replied in said:
            journal.add_turn(Turn(new_id(), thread, now(), asked, replied, "m", None))


async def test_past_talk_is_searched_and_gone_on_in(home: Home) -> None:
    told(home, ("trip", "Где МОРЕ?", "На юге."), ("work", "Bare [bold]\x1b[31m?", "Yes."))
    settings = read_settings(home, {"memory": {"dense": False}, "night": {"enabled": False}})
    async with sitting(home, settings) as seat:
        await seat.types("/sessions")
        await seat.until(lambda: isinstance(seat.app.screen, SessionsScreen))
        await seat.sees("trip", "work", "1 turn")
        await seat.pilot.press(*"bare")
        await seat.sees("Bare [bold]? → Yes.")
        assert "\x1b" not in seat.shown
        await seat.pilot.press("escape")
        await seat.until(lambda: seat.app.screen is seat.screen)
        await seat.types("/sessions море юге")
        await seat.sees("Где МОРЕ? → На юге.")
        await seat.pilot.press("enter")
        await seat.until(lambda: seat.screen.chat.thread == "trip")
        await seat.sees("› Где МОРЕ?")


async def test_what_nobody_said_is_not_found(home: Home) -> None:
    settings = read_settings(home, {"memory": {"dense": False}, "night": {"enabled": False}})
    async with sitting(home, settings) as seat:
        await seat.types("/sessions unheard")
        await seat.sees("Nothing said holds 'unheard'.")
