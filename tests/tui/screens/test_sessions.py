"""The session screen."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from textual.widgets import Input

from agent.chat.sessions import delete, rename
from memory.difference import Difference, Moment, Turn, new_id, now
from memory.journal.journal import Journal
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.tui.seat import Seat, sitting
from tui.screens.sessions import SessionsScreen
from tui.views.session_rows import around, lit
from tui.views.session_text import deletion_summary, moment
from tui.widgets.common.session_list import SessionList

AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@pytest.fixture
def quiet(home: Home) -> Settings:
    return read_settings(home, {"memory": {"dense": False}, "night": {"enabled": False}})


def told(home: Home, *said: tuple[str, str, str]) -> list[str]:
    """Write one turn per thread; return the ids of the turns."""
    turns = [Turn(new_id(), thread, now(), one, two, "m", None) for thread, one, two in said]
    with Journal(home.journal) as journal:
        for turn in turns:
            journal.turns.add(turn)
    return [turn.id for turn in turns]


def marked(home: Home, turn: str) -> str:
    with Journal(home.journal) as journal:
        said = journal.turns.get(turn)
        item = Difference(
            new_id(), turn, said.thread, now(), Moment.SURPRISE, said.asked, said.replied
        )
        journal.differences.add(item)
    return item.id


async def opened(seat: Seat, words: str = "") -> SessionsScreen:
    await seat.types(f"/sessions {words}".strip())
    await seat.until(lambda: isinstance(seat.app.screen, SessionsScreen))
    screen = seat.app.screen
    assert isinstance(screen, SessionsScreen)
    await seat.until(lambda: screen.query_one(SessionList).chosen is not None)
    await seat.pilot.pause()
    return screen


async def test_past_sessions_are_searched_and_continued(home: Home, quiet: Settings) -> None:
    told(home, ("trip", "Где МОРЕ?", "На юге."), ("work", "Bare [bold]\x1b[31m?", "Yes."))
    async with sitting(home, quiet) as seat:
        await opened(seat)
        await seat.sees("trip", "work", "1 turn", "today")
        await seat.pilot.press(*"bare")
        await seat.sees("Bare [bold]? → Yes.")
        assert "\x1b" not in seat.shown
        assert "trip" not in seat.shown
        await seat.pilot.press("escape")
        await seat.sees("trip")
        await seat.pilot.press("escape")
        await seat.until(lambda: seat.app.screen is seat.screen)
        await opened(seat, "море юге")
        await seat.sees("Где МОРЕ? → На юге.")
        await seat.pilot.press("enter")
        await seat.until(lambda: seat.screen.chat.thread.name == "trip")
        await seat.sees("› Где МОРЕ?")
        await seat.until(lambda: seat.screen.transcript.chosen is not None)


async def test_text_that_was_never_said_is_not_found(home: Home, quiet: Settings) -> None:
    async with sitting(home, quiet) as seat:
        await seat.types("/sessions unheard")
        await seat.sees("No message contains 'unheard'.")
        await seat.pilot.press("ctrl+r", "ctrl+d", "ctrl+e", "enter", "escape")
        await seat.sees("No threads yet")


async def test_a_session_is_found_by_its_name_and_the_open_one_is_marked(
    home: Home, quiet: Settings
) -> None:
    told(home, ("trip", "One?", "Yes."), ("work", "Two?", "Yes."))
    async with sitting(home, quiet, thread="work") as seat:
        await opened(seat)
        await seat.sees("› work", "trip")
        await seat.pilot.press(*"TRI")
        await seat.sees("trip", "One?")
        assert "work" not in seat.shown


async def test_a_found_turn_of_another_branch_is_opened_on_that_branch(
    home: Home, quiet: Settings
) -> None:
    first = Turn(new_id(), "trip", now(), "Why?", "The plum.", "m", None)
    with Journal(home.journal) as journal:
        journal.turns.add(first)
        journal.turns.add(Turn(new_id(), "trip", now(), "Otherwise?", "No.", "m", None), after="")
    async with sitting(home, quiet, thread="other") as seat:
        await opened(seat, "plum")
        await seat.pilot.press("enter")
        await seat.sees("› Why?", "1/2")
        assert seat.screen.chat.journal.turns.head("trip") == first.id


async def test_a_wide_screen_shows_the_end_of_the_session_beside_the_list(
    home: Home, quiet: Settings
) -> None:
    said = [("long", f"Question {number}?", f"Reply {number}.") for number in range(30)]
    turns = told(home, *said, ("work", "Two?", "Yes."))
    marked(home, turns[29])
    async with sitting(home, quiet, size=(120, 36)) as seat:
        await opened(seat)
        await seat.sees("› Two?")
        await seat.pilot.press("down")
        await seat.sees("30 turns", "◆ 1", "› Question 29?", "Reply 29.", "◆ surprise")
        await seat.pilot.press(*"reply 7.")
        await seat.sees("Question 17? → Reply 17.", "› Question 27?")
        await seat.pilot.press("down", "down")
        await seat.sees("Question 7? → Reply 7.", "› Question 7?", "› Question 6?")
        assert "Question 8?" not in seat.shown
        await seat.pilot.resize_terminal(80, 24)
        await seat.until(lambda: "› Question 7?" not in seat.shown)
        await seat.sees("Question 7? → Reply 7.")


async def test_a_session_is_renamed_and_an_invalid_name_explained(
    home: Home, quiet: Settings
) -> None:
    told(home, ("trip", "One?", "Yes."), ("work", "Two?", "Yes."))
    async with sitting(home, quiet, thread="work") as seat:
        screen = await opened(seat)
        await seat.pilot.press("ctrl+r")
        await seat.sees("New name: work")
        await seat.pilot.press("escape", "f2")
        await seat.pilot.press(*"trip", "down", "enter")  # over the old name, which is selected
        await seat.sees("There is already a thread 'trip'; choose another name.")
        await seat.pilot.press(*" two", "enter")
        await seat.sees("Renamed to trip two.", "› trip two")
        assert screen.query_one("#search", Input).has_focus
        assert seat.screen.chat.thread.name == "trip two"
        await seat.pilot.press("escape")
        await seat.until(lambda: seat.app.screen is seat.screen)
        assert [turn.asked for turn in seat.screen.chat.thread.turns()] == ["Two?"]


async def test_an_unsafe_name_from_another_program_is_shown_safely_and_can_be_changed(
    home: Home, quiet: Settings
) -> None:
    told(home, ("a\x1b[31mb\u202e [bold]\n{c}", "One?", "Yes."))
    async with sitting(home, quiet, thread="main") as seat:
        await opened(seat)
        await seat.sees("ab [bold] {c}", "One?")
        assert not {"\x1b", "\u202e"} & set(seat.shown)
        await seat.pilot.press("ctrl+d")
        await seat.sees("ab [bold] {c}: 1 turn will be deleted permanently")
        await seat.pilot.press("escape", "enter")
        await seat.sees("is not a valid thread name; use 1 to 80 printable characters")
        await opened(seat)
        await seat.pilot.press("ctrl+r")
        await seat.sees("New name: ab [bold] {c}")
        await seat.pilot.press("enter")
        await seat.sees("Renamed to ab [bold] {c}.")
        await seat.pilot.press("enter")
        await seat.until(lambda: seat.screen.chat.thread.name == "ab [bold] {c}")


async def test_the_open_session_is_deleted_after_confirmation_and_its_marks_stay(
    home: Home, quiet: Settings
) -> None:
    _trip, turn = told(home, ("trip", "One?", "Yes."), ("work", "Two?", "Yes."))
    item = marked(home, turn)
    async with sitting(home, quiet, thread="work") as seat:
        await seat.sees("› Two?")
        await opened(seat)
        await seat.pilot.press("ctrl+d")
        await seat.sees(
            "work: 1 turn will be deleted permanently; 1 mark stays in memory with its text.",
            "Press Ctrl+D again to delete",
        )
        await seat.pilot.press("escape")
        await seat.sees("Ctrl+D delete")
        await seat.pilot.press("ctrl+d", "down", "up", "ctrl+d")
        await seat.sees("1 turn will be deleted permanently")
        await seat.pilot.press("ctrl+d")
        await seat.sees("Deleted 1 turn. 1 mark stays in memory.", "› trip")
        await seat.pilot.press("escape")
        await seat.sees("› One?")
        assert "Two?" not in seat.shown
        journal = seat.screen.chat.journal
        assert [kept.id for kept in journal.differences.all()] == [item]
        assert [known for known, _turns, _at in journal.threads.all()] == ["trip"]
        await seat.types("/memory")
        await seat.sees("Two?")
        await seat.pilot.press("enter")
        await seat.sees("was marked no longer exists; the mark is kept")


async def test_deleting_the_last_session_starts_a_new_one(home: Home, quiet: Settings) -> None:
    told(home, ("work", "Two?", "Yes."))
    async with sitting(home, quiet, thread="work") as seat:
        await opened(seat)
        await seat.pilot.press("ctrl+d", "ctrl+d")
        await seat.sees("No threads yet")
        await seat.pilot.press("escape")
        await seat.until(lambda: seat.app.screen is seat.screen)
        await seat.until(lambda: not seat.screen.transcript.turns)
        assert seat.screen.chat.thread.name != "work"


async def test_a_session_is_exported_in_both_formats(
    home: Home, quiet: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    told(home, ("trip", "One [bold]\x1b[31m?", "Yes."))
    async with sitting(home, quiet, size=(160, 24)) as seat:
        screen = await opened(seat)
        await seat.pilot.press("ctrl+e")
        await seat.sees("Export to:", "Markdown or JSON")
        assert screen.query_one("#line", Input).value == str(folder / "trip.md")
        await seat.pilot.press("enter")
        await seat.sees("Wrote ")
        text = (folder / "trip.md").read_text("utf-8")
        assert "> One [bold]?" in text
        assert "\x1b" not in text
        await seat.pilot.press("ctrl+e", "ctrl+e")
        assert screen.query_one("#line", Input).value == str(folder / "trip-2.json")
        await seat.pilot.press(*["backspace"] * len("-2.json"), *".md", "enter")
        await seat.sees("trip.md already exists; choose another file")
        await seat.pilot.press("ctrl+e", "enter")
        await seat.sees("Wrote ")
        assert json.loads((folder / "trip.json").read_text("utf-8"))["thread"] == "trip"


@pytest.mark.slow
async def test_changes_to_the_open_session_by_another_process_are_reported(
    home: Home, quiet: Settings
) -> None:
    told(home, ("work", "Two?", "Yes."))
    async with sitting(home, quiet, thread="work") as seat:
        await seat.sees("› Two?")
        with Memory.open(home, quiet, dense=False) as other:
            rename(home, other.journal, "work", "play")
            await seat.sees("This thread was renamed to 'play'.", "› Two?")
            delete(home, other, "play")
            await seat.sees("This thread was deleted elsewhere")
        assert "Two?" not in seat.shown


async def test_a_screen_of_forty_columns_cuts_no_lines(home: Home, quiet: Settings) -> None:
    told(home, ("漢字" * 30, "é漢字" * 40, "Yes."), ("work", "Two?", "Yes."))
    async with sitting(home, quiet, size=(40, 12)) as seat:
        await opened(seat)
        await seat.sees("1 turn", "…")
        assert all(len(line) <= 40 for line in seat.shown.splitlines())
        await seat.pilot.press("ctrl+d")
        await seat.sees("again to delete")


def test_times_are_formatted_naturally() -> None:
    noon = AT.astimezone().replace(hour=12, minute=5)
    said = {
        0: "today 12:05", 1: "yesterday", 2: "8 Mar", 68: "1 Jan", 69: "31 Dec 2025",
    }  # fmt: skip
    for days, expected in said.items():
        assert moment(noon - timedelta(days=days), noon) == expected
    assert moment(noon.replace(hour=0), noon.replace(hour=23)) == "today 00:05"


def test_a_search_result_shows_its_line_with_the_word_highlighted() -> None:
    text = "a " * 200 + "Zürich\nis " + "b " * 200
    line = around(text, ["zürich"], 40)
    assert "Zürich is" in line
    assert line.startswith("…")
    assert line.endswith("…")
    assert len(line) <= 40
    assert around("short", ["absent"], 40) == "short"
    found = lit("Ab aB (c", ["ab", "(c"], "dim", "bold")
    assert found.plain == "Ab aB (c"
    assert [found.plain[span.start : span.end] for span in found.spans if span.style == "bold"] == [
        "Ab", "aB", "(c",
    ]  # fmt: skip


def test_one_sentence_says_what_deleting_removes_and_keeps() -> None:
    assert (
        deletion_summary("a", 1, 0)
        == "a: 1 turn will be deleted permanently; there are no marks in it."
    )
    assert deletion_summary("a", 1200, 2) == (
        "a: 1,200 turns will be deleted permanently; 2 marks stay in memory with their text."
    )
