"""A night runs once: with two schedulers, missed nights, and clock changes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from memory.errors import CutOffError, TrainingError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.faults.programs.night_process import count
from tests.support.processes import Night
from tests.support.values import difference, quick_settings
from trainer.night import due_time, once_per_date
from trainer.night.night import run_night
from trainer.night.request import Cancellation, RunRequest
from trainer.night.run import training_lock
from trainer.report.report import Report

PARIS = ZoneInfo("Europe/Paris")


def mark(home: Home, at: datetime) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(difference("Who?", "Lutz.", at=at.astimezone(UTC)))


def runs(home: Home) -> int:
    try:
        return len((home.data / "counted").read_text().splitlines())
    except FileNotFoundError:
        return 0


def rows(home: Home) -> dict[str, tuple[str, int]]:
    with Journal(home.journal) as journal:
        return {night.day: (night.state, night.attempt) for night in journal.nights.latest(400)}


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once_per_date, "run_night", count)


def due(home: Home, settings: Settings, moment: datetime, **values: Any) -> Report | None:
    request = RunRequest(home, settings, Path("none.gguf"))
    return once_per_date.run_if_due(request, now=moment, **values)


def test_two_simultaneous_schedulers_run_each_of_twenty_nights_once(
    home: Home, tiny: Path, record_property: Callable[[str, object], None]
) -> None:
    mark(home, datetime(2026, 1, 1, tzinfo=PARIS))
    with Night(home.data, tiny, "counting") as one, Night(home.data, tiny, "counting") as two:
        for number in range(20):
            moment = datetime(2026, 2, 1, 4, tzinfo=PARIS) + timedelta(days=number)
            for process in (one, two):
                process.ask(now=moment.isoformat())
            said = [process.hear("answer") for process in (one, two)]
            assert sorted(str(answer["verdict"]) for answer in said) == ["None", "published"]
            assert runs(home) == number + 1
    assert set(rows(home).values()) == {("published", 1)}
    assert len(rows(home)) == 20
    record_property("faults", 20)


def test_three_missed_nights_are_caught_up_by_one_run(home: Home, counting: None) -> None:
    mark(home, datetime(2026, 3, 10, 22, tzinfo=PARIS))
    assert due(home, quick_settings(home), datetime(2026, 3, 13, 20, tzinfo=PARIS))
    for hour in range(20, 24):
        assert (
            due(home, quick_settings(home), datetime(2026, 3, 13, hour, 30, tzinfo=PARIS)) is None
        )
    assert runs(home) == 1
    assert rows(home) == {"2026-03-13": ("published", 1)}


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Paris", datetime(2026, 3, 29)),
        ("Europe/Paris", datetime(2026, 10, 25)),
        ("America/New_York", datetime(2026, 3, 8)),
        ("America/New_York", datetime(2026, 11, 1)),
    ],
)
@pytest.mark.parametrize("at", ["03:15", "02:30", "01:30"])
def test_a_night_with_a_clock_change_runs_once(
    home: Home, counting: None, zone: str, day: datetime, at: str
) -> None:
    chosen = quick_settings(home, night={"time": at})
    where = ZoneInfo(zone)
    mark(home, day.replace(tzinfo=where) - timedelta(days=3))
    moment = day.replace(tzinfo=where).astimezone(UTC) - timedelta(hours=2)
    ran: list[str] = []
    for _tick in range(0, 26 * 60, 10):
        local = moment.astimezone(where)
        if due(home, chosen, local):
            ran.append(local.strftime("%d %H:%M"))
        moment += timedelta(minutes=10)
    # The first is the catch-up of the night before; the second is the night itself.
    assert len(ran) == 2 == runs(home)
    assert ran[1].startswith(f"{day:%d}")
    assert [state for state, _attempt in rows(home).values()] == ["published"] * 2


@pytest.mark.parametrize("back", [timedelta(hours=2), timedelta(days=3)])
def test_a_night_does_not_run_twice_when_the_clock_is_set_back(
    home: Home, counting: None, back: timedelta
) -> None:
    mark(home, datetime(2026, 3, 1, tzinfo=PARIS))
    moment = datetime(2026, 3, 10, 3, 20, tzinfo=PARIS)
    for day in range(4):
        assert due(home, quick_settings(home), moment + timedelta(days=day))
    moment += timedelta(days=3)
    for tick in range(0, int(back.total_seconds() // 60), 30):
        assert due(home, quick_settings(home), moment - back + timedelta(minutes=tick)) is None
    assert runs(home) == 4


def test_a_clock_that_was_years_ahead_does_not_stop_later_nights(
    home: Home, counting: None
) -> None:
    mark(home, datetime(2026, 3, 1, tzinfo=PARIS))
    assert due(home, quick_settings(home), datetime(2031, 3, 10, 4, tzinfo=PARIS))
    assert due(home, quick_settings(home), datetime(2026, 3, 10, 4, tzinfo=PARIS))


def test_a_heartbeat_in_the_future_does_not_block_the_night(home: Home, counting: None) -> None:
    mark(home, datetime(2026, 3, 1, tzinfo=PARIS))
    moment = datetime(2026, 3, 10, 4, tzinfo=PARIS)
    with Journal(home.journal) as journal:
        owner = f"{os.uname().nodename}:1:1"
        assert journal.nights.claim("2026-03-10", owner, stale_after=180, attempts=3) == 1
        with journal.transaction() as connection:
            connection.execute("update nights set beat = '2099-01-01T00:00:00+00:00'")
    assert due(home, quick_settings(home), moment)
    assert rows(home) == {"2026-03-10": ("published", 2)}


def test_a_night_on_another_machine_is_left_alone_while_its_heartbeat_is_recent(
    home: Home, counting: None
) -> None:
    mark(home, datetime(2026, 3, 1, tzinfo=PARIS))
    moment = datetime(2026, 3, 10, 4, tzinfo=PARIS)
    with Journal(home.journal) as journal:
        assert journal.nights.claim("2026-03-10", "elsewhere:1:1", stale_after=180, attempts=3)
        assert due(home, quick_settings(home), moment) is None
        with journal.transaction() as connection:
            connection.execute("update nights set beat = '2026-01-01T00:00:00+00:00'")
    assert due(home, quick_settings(home), moment)


def test_a_night_waits_during_quiet_hours_on_battery_and_for_a_manual_training(
    home: Home, counting: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark(home, datetime(2026, 3, 1, tzinfo=PARIS))
    moment = datetime(2026, 3, 10, 4, tzinfo=PARIS)
    quiet = quick_settings(home, night={"quiet": "00:00-05:00"})
    assert due(home, quiet, moment) is None
    monkeypatch.setattr(once_per_date, "on_battery", lambda: due_time.on_battery(tmp_path))
    (tmp_path / "BAT0").mkdir()
    (tmp_path / "BAT0" / "type").write_text("Battery")
    (tmp_path / "BAT0" / "status").write_text("Discharging")
    assert due(home, quick_settings(home), moment) is None
    anyway = quick_settings(home, night={"on_battery": True})
    with training_lock(home):
        assert due(home, anyway, moment) is None
    assert not rows(home)  # no attempt was used: the night is still due
    assert due(home, anyway, moment)


def test_a_night_that_finds_a_training_begun_just_before_runs_after_it(
    home: Home, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look at the lock and its own training, the user starts one."""
    tonight = datetime(2026, 5, 1, 4, tzinfo=PARIS)
    mark(home, tonight - timedelta(days=1))

    def late(request: RunRequest, **options: Any) -> Report:
        with training_lock(home):
            return run_night(request, **options)

    assert due(home, settings, tonight, run=late) is None
    assert list(rows(home).values()) == [("waiting", 1)]
    monkeypatch.setattr(once_per_date, "run_night", count)
    assert due(home, settings, tonight) is not None
    assert list(rows(home).values()) == [("published", 1)]


def test_a_night_without_enough_marks_trains_nothing_until_there_are_enough(
    home: Home, counting: None
) -> None:
    chosen = quick_settings(home, night={"minimum": 2})
    mark(home, datetime(2026, 3, 1, tzinfo=PARIS))
    assert due(home, chosen, datetime(2026, 3, 10, 4, tzinfo=PARIS)) is None
    mark(home, datetime(2026, 3, 10, 12, tzinfo=PARIS))
    assert due(home, chosen, datetime(2026, 3, 11, 4, tzinfo=PARIS))
    assert [state for state, _ in rows(home).values()] == ["published", "nothing"]


def test_an_interrupted_night_is_tried_three_times_and_then_reported(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark(home, datetime(2026, 3, 1, tzinfo=PARIS))
    moment = datetime(2026, 3, 10, 4, tzinfo=PARIS)

    def cut(*_arguments: Any, **_options: Any) -> Report:
        raise CutOffError("the training process was killed (signal 9)")

    monkeypatch.setattr(once_per_date, "run_night", cut)
    for attempt in range(1, 4):
        with pytest.raises(CutOffError):
            due(home, quick_settings(home), moment)
        assert rows(home)["2026-03-10"] == ("running" if attempt < 3 else "failed", attempt)
    assert due(home, quick_settings(home), moment) is None


def test_a_night_whose_process_died_three_times_leaves_a_report(home: Home, counting: None) -> None:
    mark(home, datetime(2026, 3, 1, tzinfo=PARIS))
    with Journal(home.journal) as journal, journal.transaction() as connection:
        connection.execute(
            "insert into nights (day, state, attempt, started, beat, owner) "
            "values ('2026-03-10', 'running', 3, ?, ?, ?)",
            (*("2026-03-10T04:00:00+00:00",) * 2, f"{os.uname().nodename}:1:1"),
        )
    report = due(home, quick_settings(home), datetime(2026, 3, 10, 5, tzinfo=PARIS))
    assert report is not None
    assert report.verdict == "failed"
    assert "stopped retrying after 3 interrupted attempts" in str(report.sentence)
    written = json.loads(next(home.runs.glob("*/report.json")).read_text())
    assert written["sentence"] == str(report.sentence)
    assert due(home, quick_settings(home), datetime(2026, 3, 10, 6, tzinfo=PARIS)) is None


@pytest.mark.parametrize(("leaving", "state"), [(False, "stopped"), (True, "waiting")])
def test_a_night_stopped_by_the_user_stays_stopped_and_one_left_by_a_closed_chat_is_resumed(
    home: Home, monkeypatch: pytest.MonkeyPatch, leaving: bool, state: str
) -> None:
    mark(home, datetime(2026, 3, 1, tzinfo=PARIS))
    moment = datetime(2026, 3, 10, 4, tzinfo=PARIS)
    cancel = Cancellation()

    def stopped(*_arguments: Any, **_options: Any) -> Report:
        cancel.suspend() if leaving else cancel.set()
        raise TrainingError("the training was stopped")

    for _time in range(4 if leaving else 1):  # closing a chat does not count as an attempt
        monkeypatch.setattr(once_per_date, "run_night", stopped)
        with pytest.raises(TrainingError):
            due(home, quick_settings(home), moment, cancel=cancel)
        assert rows(home) == {"2026-03-10": (state, 1)}
        cancel.clear()
    monkeypatch.setattr(once_per_date, "run_night", count)
    assert (due(home, quick_settings(home), moment) is not None) is leaving


def test_a_night_that_takes_too_long_is_stopped(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark(home, datetime(2026, 3, 1, tzinfo=PARIS))
    cancel = Cancellation()

    def long(*_arguments: Any, **options: Any) -> Report:
        assert options["cancel"].wait(20)
        raise TrainingError("the training was stopped")

    monkeypatch.setattr(once_per_date, "run_night", long)
    short = quick_settings(home, night={"max_minutes": 0.001})
    began = time.monotonic()
    with pytest.raises(TrainingError, match=r"longer than 0\.001 minutes"):
        due(home, short, datetime(2026, 3, 10, 4, tzinfo=PARIS), cancel=cancel)
    assert time.monotonic() - began < 15
    assert not cancel.is_set()
    assert rows(home)["2026-03-10"][0] == "failed"
