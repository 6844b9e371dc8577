"""Nights with real components: a random base, a real training child, a real probe and gate."""

from __future__ import annotations

import fcntl
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import find_adapter, list_adapters, read_pointer, verify
from memory.difference import State, now
from memory.errors import ModelError, NothingToTrainError, TrainingError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.support.values import difference, quick_settings
from trainer.adapters import publish
from trainer.events import Event, Step
from trainer.night.night import run_night
from trainer.night.once_per_date import run_if_due
from trainer.night.request import Cancellation, RunRequest
from trainer.report.report import Report


def mark(home: Home, *differences: Any) -> list[str]:
    with Journal(home.journal) as journal:
        for item in differences:
            journal.differences.add(item)
    return [item.id for item in differences]


def test_a_night_trains_publishes_and_reports(home: Home, tiny: Path) -> None:
    ids = mark(home, difference("Who?", "Lutz."), difference("Bare", None))
    events: list[Event] = []
    chosen = quick_settings(home)
    report = run_night(RunRequest(home, chosen, tiny), on_event=events.append)
    assert report.verdict == "published"
    assert report.adapter == read_pointer(home.adapters).current
    adapter = find_adapter(home.adapters, report.adapter or "")
    verify(adapter)
    assert adapter.manifest.differences == (ids[0],)
    phases = list(dict.fromkeys(event.phase for event in events))
    assert [name for name in phases if name not in ("load", "trained")] == [
        "start", "compose", "calibrate", "estimate", "anchors", "beside", "train", "export", "probe",
        "gate", "publish", "report",
    ]  # fmt: skip
    steps = [event for event in events if isinstance(event, Step)]
    assert [(event.step, event.steps) for event in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(event.loss > 0 and 0 <= event.learnt <= 1 for event in steps)
    run = Path(report.run)
    assert Report.from_json((run / "report.json").read_text()) == report
    assert len((run / "events.jsonl").read_text().splitlines()) == len(events)
    assert [fate.asked for fate in report.fates] == ["Who?"] * len(report.fates) != []
    with Journal(home.journal) as journal:
        assert journal.differences.get(ids[0]).state in (State.TRAINED, State.FAILING)
    with pytest.raises(NothingToTrainError, match="nothing has changed"):
        run_night(RunRequest(home, chosen, tiny))
    # After forgetting, there is nothing left to learn, so only the base is used.
    with Journal(home.journal) as journal:
        journal.forgetting.forget(journal.differences.get(ids[0]))
    with pytest.raises(NothingToTrainError, match="forgotten"):
        run_night(RunRequest(home, chosen, tiny))
    assert read_pointer(home.adapters).current is None


def test_an_adapter_that_changes_too_much_is_not_published(home: Home, tiny: Path) -> None:
    ids = mark(home, difference("Who?", "Lutz."))
    strict = quick_settings(home, gate={"lessons": 1.0})
    report = run_night(RunRequest(home, strict, tiny))
    assert report.verdict == "rejected"
    assert "lessons reproduced: 0%" in str(report.sentence)
    assert not list_adapters(home.adapters)
    with Journal(home.journal) as journal:
        assert journal.differences.get(ids[0]).state is State.FAILING


@pytest.mark.parametrize(
    ("scope", "floor"), [("always", 0.3), pytest.param("auto", 0.0, marks=pytest.mark.slow)]
)
def test_a_night_publishes_and_reports_what_an_adapter_answers(
    home: Home, tiny: Path, scope: str, floor: float
) -> None:
    mark(home, difference("Who?", "Lutz."))
    report = run_night(RunRequest(home, quick_settings(home, chat={"scope": scope}), tiny))
    assert report.verdict == "published"
    assert find_adapter(home.adapters, report.adapter or "").manifest.floor == floor
    assert ("only for messages related to your marks" in str(report.sentence)) == (floor > 0)


@pytest.mark.slow
def test_a_rank_above_the_matrix_size_is_capped_and_reported(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz."))
    wide = quick_settings(home, training={"rank": 512})
    report = run_night(RunRequest(home, wide, tiny))
    assert report.verdict == "published"
    (note,) = [note for note in report.notes if "training.rank is 512" in str(note)]
    assert "q_proj 64" in str(note)


def test_nothing_to_train_is_reported_and_leaves_no_run(home: Home, tiny: Path) -> None:
    mark(home, difference("Bare", None))
    with pytest.raises(NothingToTrainError, match="no marked difference has a better answer"):
        run_night(RunRequest(home, quick_settings(home), tiny))
    assert not home.runs.exists()


def test_a_missing_model_is_named(home: Home, tmp_path: Path) -> None:
    mark(home, difference("Who?", "Lutz."))
    with pytest.raises(ModelError, match=r"none\.gguf"):
        run_night(RunRequest(home, quick_settings(home), tmp_path / "none.gguf"))


def test_two_trainings_at_once_are_refused(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz."))
    with (home.state / "training.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TrainingError, match="already running"):
            run_night(RunRequest(home, quick_settings(home), tiny))


@pytest.mark.parametrize("phase", ["anchors", "train", "gate"])
def test_a_cancelled_night_publishes_nothing(home: Home, tiny: Path, phase: str) -> None:
    mark(home, difference("Who?", "Lutz."))
    cancel = Cancellation()

    def on_event(event: Event) -> None:
        if event.phase == phase:
            cancel.set()

    with pytest.raises(TrainingError, match="stopped"):
        run_night(RunRequest(home, quick_settings(home), tiny), on_event=on_event, cancel=cancel)
    assert read_pointer(home.adapters).current is None
    report = json.loads(next(home.runs.glob("*/report.json")).read_text())
    assert report["verdict"] == "failed"


def moment(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute).astimezone()


def test_a_night_runs_once_and_after_its_time(home: Home, tiny: Path) -> None:
    chosen = quick_settings(home, night={"time": "03:15"})
    mark(home, difference("Who?", "Lutz.", at=moment(10, 22)))
    seen: list[str] = []

    def due(when: datetime) -> Report | None:
        return run_if_due(
            RunRequest(home, chosen, tiny), now=when, on_event=lambda e: seen.append(e.phase)
        )

    assert due(moment(11, 3, 14)) is None  # closes the empty night of the 10th
    report = due(moment(11, 3, 15))
    assert report is not None
    assert report.verdict == "published"
    assert due(moment(11, 3, 16)) is None
    assert due(moment(11, 23)) is None
    assert due(moment(12, 9)) is None  # nothing new
    with Journal(home.journal) as journal:
        rows = [(night.day, night.state) for night in journal.nights.latest()]
    assert rows == [
        ("2026-03-12", "nothing"), ("2026-03-11", "published"), ("2026-03-10", "nothing"),
    ]  # fmt: skip


@pytest.mark.slow
def test_missed_nights_are_caught_up_once_and_later_marks_wait(home: Home, tiny: Path) -> None:
    chosen = quick_settings(home, gate={"lessons": 1.0})
    mark(home, difference("Who?", "Lutz.", at=moment(10, 22)))
    report = run_if_due(RunRequest(home, chosen, tiny), now=moment(14, 20))
    assert report is not None
    assert report.verdict == "rejected"
    mark(home, difference("Where?", "Here.", at=moment(14, 21)))
    assert run_if_due(RunRequest(home, chosen, tiny), now=moment(14, 22)) is None


def test_an_interrupted_night_is_retried_a_limited_number_of_times(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz.", at=moment(10, 22)))
    chosen = quick_settings(home)
    with Journal(home.journal) as journal:
        assert journal.nights.claim("2026-03-11", "dead:1:1", stale_after=180, attempts=3) == 1
        assert run_if_due(RunRequest(home, chosen, tiny), now=moment(11, 4)) is None  # still alive
        old = (now() - timedelta(hours=1)).isoformat()
        with journal.transaction() as connection:
            connection.execute("update nights set beat = ?, attempt = 3", (old,))
        given_up = run_if_due(RunRequest(home, chosen, tiny), now=moment(11, 4))
        assert given_up is not None
        assert given_up.verdict == "failed"
        assert journal.nights.latest()[0].state == "failed"


def test_nights_can_be_switched_off(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz.", at=moment(10, 22)))
    off = quick_settings(home, night={"enabled": False})
    assert run_if_due(RunRequest(home, off, tiny), now=moment(11, 4)) is None


@pytest.mark.slow
def test_a_night_while_adapters_are_off_trains_an_adapter_that_waits(
    home: Home, tiny: Path
) -> None:
    mark(home, difference("Who?", "Lutz."))
    publish.switch_off(home)
    report = run_night(RunRequest(home, quick_settings(home), tiny))
    assert report.verdict == "published"
    assert "`discern adapters on`" in str(report.sentence)
    assert read_pointer(home.adapters).current is None
    with pytest.raises(NothingToTrainError, match="nothing has changed"):
        run_night(RunRequest(home, quick_settings(home), tiny))
    assert publish.switch_on(home) == report.adapter
