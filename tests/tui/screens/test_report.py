"""The report screen."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from memory.sentence import Sentence, verbatim
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from tests.tui.seat import Seat, sitting
from trainer.report.report import Fate, Measure, Report
from tui.screens.report import PAGE_FILE, ReportScreen

HOSTILE = "[@click=app.quit]Learned\x1b]52;c;eA==\x07[/] one"


def trained(home: Home, name: str, **values: object) -> Path:
    report = Report(
        verdict="published",
        sentence=verbatim(HOSTILE),
        started=datetime(2026, 3, 10, 3, 15, tzinfo=UTC),
        seconds=12.5,
        model="starter",
        fates=(
            Fate("d" * 32, "contrast", "Who is it?", "Mirra.", "I don't know.", "Mirra.", "learnt"),
        ),
        measures=(Measure("lessons", 1.0, 0.9, True, Sentence("lessons reproduced: 100%")),),
    )
    folder = home.runs / name
    folder.mkdir(parents=True)
    report = replace(report, **values)  # type: ignore[arg-type]
    (folder / "report.json").write_text(json.dumps(report.to_json()))
    return folder


async def opened(seat: Seat) -> None:
    await seat.types("/report")
    await seat.until(lambda: isinstance(seat.app.screen, ReportScreen))


async def test_reports_are_browsed_and_the_page_is_written(home: Home) -> None:
    trained(home, "20260309T031500", verdict="rejected", sentence="It drifted too far.")
    newest = trained(home, "20260310T031500")
    (home.runs / "20260311T031500").mkdir()  # an interrupted run
    settings = read_settings(home, {"memory": {"dense": False}, "night": {"enabled": False}})
    async with sitting(home, settings) as seat:
        await opened(seat)
        await seat.sees("Report 1 of 2 · 2026-03-10", "run 20260310T031500", "✓ Published")
        await seat.sees("[@click=app.quit]Learned", "Who is it?")
        assert not any(sign in seat.shown for sign in "\x1b\x07")
        await seat.pilot.press("right_square_bracket")  # there is none after it
        await seat.pilot.press("left_square_bracket")
        await seat.sees("Report 2 of 2", "✗ Rejected", "It drifted too far.")
        await seat.pilot.press("right_square_bracket", "o")
        await seat.sees("Report 1 of 2", "Wrote ")
        assert (newest / PAGE_FILE).read_text(encoding="utf-8").startswith("<!")
        (newest / PAGE_FILE).unlink()
        (newest / PAGE_FILE).mkdir()
        await seat.pilot.press("o")
        await seat.sees("cannot write")
        await seat.pilot.press("escape")
        await seat.until(lambda: seat.app.screen is seat.screen)
