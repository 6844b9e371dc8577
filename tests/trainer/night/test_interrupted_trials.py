"""The next run continues the work of an interrupted one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memory.errors import TrainingError
from memory.settings.paths import Home
from tests.support.values import difference, quick_settings
from tests.trainer.night.test_run import mark
from trainer.event_json import logged_to_json
from trainer.events import Event, Judged, Logged, Probing, Step, StepsPlanned, TrialStarted
from trainer.night.interrupted_trials import earlier_steps, merged, take_over
from trainer.night.night import run_night
from trainer.night.request import Cancellation, RunRequest


def step(number: int, loss: float = 1.0) -> Step:
    return Step(number, 9, loss, 0.0, 0.0, 0.0, 0.0, 0.0, {}, {}, 0, 0, 0.0)


def cut_off(home: Home, name: str, *events: Event) -> Path:
    trial = home.runs / name / "try-1"
    trial.mkdir(parents=True)
    (trial / "samples.npz").write_bytes(b"tokens")
    (trial / "control").write_text("stop")
    lines = [json.dumps(logged_to_json(Logged(0.0, event))) for event in events]
    (trial.parent / "events.jsonl").write_text("\n".join(lines) + "\n")
    return trial


def test_the_trials_of_the_last_interrupted_run_move_to_the_new_one(home: Home) -> None:
    cut_off(home, "20260101T000000")
    cut_off(home, "20260102T000000", TrialStarted(1, 0.1, 1), step(1), step(2))
    ended = cut_off(home, "20260103T000000")
    (ended.parent / "report.json").write_text("{}")
    new = home.runs / "20260104T000000"
    new.mkdir()
    assert take_over(home, new)
    assert {path.parent.name for path in home.runs.rglob("try-1")} == {
        "20260103T000000",
        "20260104T000000",
    }
    assert not (new / "try-1" / "control").exists()
    assert earlier_steps(new / "try-1") == (step(1), step(2))
    (new / "report.json").write_text("{}")
    assert not take_over(home, home.runs / "20260105T000000")


def test_repeated_steps_replace_the_first_ones() -> None:
    one, two, three = step(1), step(2), step(3)
    again = step(2, loss=9.0)
    assert merged([one, two, three], [again]) == [one, again]
    assert merged([one], []) == [one]
    assert merged([], [two]) == [two]


@pytest.mark.slow
@pytest.mark.parametrize("suspended", [True, False])
def test_a_suspended_night_continues_and_an_aborted_one_does_not(
    home: Home, tiny: Path, suspended: bool
) -> None:
    mark(home, difference("Who?", "Lutz."))
    settings = quick_settings(
        home, training={"learning_rates": [1e-3, 1e-4]}, gate={"lessons": 1.0}
    )
    cancel, seen = Cancellation(), list[Event]()

    def second_try(event: Event) -> None:
        seen.append(event)
        if isinstance(event, TrialStarted) and event.attempt == 2:
            cancel.suspend() if suspended else cancel.set()

    with pytest.raises(TrainingError, match="stopped"):
        run_night(RunRequest(home, settings, tiny), on_event=second_try, cancel=cancel)
    again: list[Event] = []
    report = run_night(RunRequest(home, settings, tiny), on_event=again.append)
    trials = len(report.attempts)
    assert trials >= 2

    def planned(events: list[Event]) -> int:
        return sum(isinstance(event, StepsPlanned) for event in events)

    # The first trial had ended: its steps are reported again but not repeated.
    first = [event for event in again if isinstance(event, Step)][:4]
    assert [event.step for event in first] == [1, 2, 3, 4]
    assert planned(again) == trials - suspended
    # It is not evaluated again either.
    tested = [event for event in again if isinstance(event, Probing)]
    assert len(tested) == trials - suspended
    assert sum(isinstance(event, Judged) for event in again) == trials
    if suspended:
        assert first == [event for event in seen if isinstance(event, Step)]
