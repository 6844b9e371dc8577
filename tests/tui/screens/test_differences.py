"""The screen of differences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memory.difference import Contrast, Difference, Moment, State, Turn, new_id, now
from memory.journal.journal import Journal
from memory.sentence import Sentence
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.tui.seat import Seat, sitting
from trainer.report.report import Fate, Report
from tui.screens.differences import DifferencesScreen
from tui.widgets.marking.contrast_card import ContrastCard


@pytest.fixture
def quiet(home: Home) -> Settings:
    return read_settings(home, {"memory": {"dense": False}, "night": {"enabled": False}})


def marked(home: Home, asked: str, sounds: str | None, thread: str = "main", **more: Any) -> str:
    turn = Turn(new_id(), thread, now(), asked, "No.", "starter", None)
    item = Difference(
        id=new_id(), turn=turn.id, thread=thread, at=now(), moment=Moment.ERROR, asked=asked,
        replied="No.", contrast=Contrast(sounds=sounds), **more,
    )  # fmt: skip
    with Journal(home.journal) as journal:
        journal.turns.add(turn)
        journal.differences.add(item)
    return item.id


async def opened(seat: Seat, words: str = "") -> DifferencesScreen:
    await seat.types(f"/memory {words}".strip())
    await seat.until(lambda: isinstance(seat.app.screen, DifferencesScreen))
    screen = seat.app.screen
    assert isinstance(screen, DifferencesScreen)
    return screen


async def test_differences_are_filtered_shown_and_pinned(home: Home, quiet: Settings) -> None:
    marked(home, "What is red?", "A colour.", kind="semantic/tone")
    marked(home, "Кто\x1b[31m это?", "Мирра [bold].", state=State.FAILING)
    async with sitting(home, quiet) as seat:
        await opened(seat)
        await seat.sees("What is red? → A colour.", "Мирра [bold].", "the reply is still wrong")
        assert "\x1b" not in seat.shown
        await seat.hits("slash")
        await seat.pilot.press(*"tone")
        await seat.sees("better answer A colour.")
        assert "Мирра" not in seat.shown
        await seat.pilot.press("enter", "p")
        await seat.sees("· pinned")
        await seat.pilot.press("escape")
        await seat.sees("Мирра")
        await seat.pilot.press("escape")
        await seat.until(lambda: seat.app.screen is seat.screen)
        assert [item.pinned for item in seat.screen.chat.journal.differences.all()] == [True, False]


async def test_a_difference_is_forgotten_after_confirmation_and_another_edited(
    home: Home, quiet: Settings
) -> None:
    gone, kept = marked(home, "What is red?", "A colour."), marked(home, "Who is it?", "Mirra.")
    async with sitting(home, quiet) as seat:
        await opened(seat, "red")
        await seat.sees("A colour.")
        await seat.pilot.press("f")
        await seat.sees("Press f again to forget")
        await seat.pilot.press("escape")
        await seat.sees("Esc back")
        await seat.pilot.press("f", "f")
        await seat.sees(f"Permanently forgotten, with the turn it was marked in: {gone[:8]}")
        await opened(seat)
        await seat.sees("Who is it?")
        assert "A colour." not in seat.shown
        await seat.pilot.press("e")
        await seat.until(lambda: bool(seat.screen.transcript.query(ContrastCard)))
        assert seat.screen.transcript.query_one(ContrastCard).difference.id == kept


async def test_a_difference_supersedes_another_and_opens_its_thread(
    home: Home, quiet: Settings
) -> None:
    old = marked(home, "What is red?", "A colour.")
    new = marked(home, "What is red, then?", "A warm colour.", thread="later")
    async with sitting(home, quiet, thread="main") as seat:
        await opened(seat)
        await seat.sees("A warm colour.")
        await seat.pilot.press("down", "s")
        await seat.sees("Select the difference that replaces")
        await seat.pilot.press("up", "s")
        journal = seat.screen.chat.journal
        await seat.until(lambda: journal.differences.get(old).superseded_by == new)
        await seat.pilot.press("enter")
        await seat.until(lambda: seat.screen.chat.thread.name == "later")
        await seat.until(lambda: seat.screen.transcript.chosen is not None)


async def test_an_empty_memory_says_how_to_mark(
    home: Home, quiet: Settings, tmp_path: Path
) -> None:
    async with sitting(home, quiet) as seat:
        await opened(seat)
        await seat.sees("No differences yet. Mark a reply with /diff.")


async def test_the_effect_of_each_difference_is_shown_below_it(home: Home, quiet: Settings) -> None:
    learnt = marked(home, "What is red?", "A colour.", state=State.TRAINED)
    failed = marked(home, "What is blue?", "A mood.", state=State.FAILING)
    marked(home, "What is green?", "Grass.")
    fates = (
        Fate(learnt, "contrast", "What is red?", "A colour.", "\x1b[31mNo.", "A colour.", "learnt"),
        Fate(failed, "contrast", "What is blue?", "A mood.", "No.", "No [b].", "repelled", 0.5,
             cause=Sentence("too little"), advice=Sentence("say it otherwise")),
    )  # fmt: skip
    report = Report(
        "published", Sentence("Learned 1."), now(), 1.0, "starter", "a1b2c3d4" * 8, fates=fates
    )
    folder = home.runs / "20260310T031500"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report.to_json()))
    async with sitting(home, quiet) as seat:
        await opened(seat)
        await seat.sees("What is green?", "better answer Grass.")
        assert "Effect of" not in seat.shown
        await seat.pilot.press("down")
        await seat.sees("Effect of adapter a1b2c3d4", "after No [b].", "why too little")
        await seat.pilot.press("down")
        await seat.sees(
            "before No.", "after A colour.", "also correct for 100% of the held-out rephrasings"
        )
        assert "\x1b" not in seat.shown
