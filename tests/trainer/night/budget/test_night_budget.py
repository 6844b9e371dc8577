"""Nights with little time ask less and report it, or are refused before they start."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from agent.adapters import read_pointer
from memory.errors import TrainingError
from memory.sentence import NOTHING, Sentence
from memory.settings.paths import Home
from tests.support.values import difference, quick_settings
from tests.trainer.night.test_run import mark
from trainer.adapters.adapter_staleness import entry_of
from trainer.events import Calibrating, Estimated, Event, Step
from trainer.night.budget import shorten_night as choice
from trainer.night.budget.measured_pace import Pace, keep_pace, read_pace
from trainer.night.budget.night_budget import NightBudget
from trainer.night.night import run_night
from trainer.night.request import Cancellation, RunRequest
from trainer.night.run import Run, make_run_folder
from trainer.stages import by_stage

SLOW = Pace(
    answer=8.0, held=0.001, baseline=0.01, gate=0.01, load=1.0, token=0.0001, export=1.0,
    publish=1.0, steps=1.0, step_tokens=500.0, tries=1.0,
)  # fmt: skip
"""Without the probe, so that the speed of this machine does not count."""


def remember(home: Home, model: Path, pace: Pace) -> None:
    keep_pace(home, entry_of(model, home).sha256, pace)


def told(events: list[Event]) -> Estimated:
    (found,) = [event for event in events if isinstance(event, Estimated)]
    return found


@pytest.mark.slow
def test_the_first_night_calibrates_and_the_next_uses_its_pace(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz."))
    settings = quick_settings(home)
    first: list[Event] = []
    report = run_night(RunRequest(home, settings, tiny), on_event=first.append)
    estimate = told(first)
    assert not estimate.earlier
    assert estimate.limit == settings.night.max_minutes * 60
    assert dict(report.estimated) == dict(estimate.stages)
    assert all(
        seconds > 0
        for stage, seconds in estimate.stages.items()
        if stage in by_stage(report.phases)
    )
    phases = [event.phase for event in first]
    assert phases.index("calibrate") < phases.index("estimate") < phases.index("anchors")
    # The timed steps are neither reported nor kept.
    assert [event.step for event in first if isinstance(event, Step)] == [1, 2, 3, 4]
    assert not (Path(report.run) / "calibration").exists()
    known = read_pace(home, entry_of(tiny, home).sha256)
    assert known.measured
    assert known.steps == 1.0
    again: list[Event] = []
    run_night(RunRequest(home, settings, tiny, force=True), on_event=again.append)
    assert told(again).earlier


@pytest.mark.slow
def test_a_training_that_was_stopped_does_not_shorten_later_estimates(
    home: Home, tiny: Path
) -> None:
    mark(home, difference("Who?", "Lutz."))
    stop = threading.Event()

    def stop_early(event: Event) -> None:
        if isinstance(event, Step):
            stop.set()

    settings = quick_settings(home, training={"max_steps": 400})
    run_night(RunRequest(home, settings, tiny), on_event=stop_early, stop=stop)
    known = read_pace(home, entry_of(tiny, home).sha256)
    assert known.token > 0
    assert known.steps == 0  # still unknown


@pytest.mark.slow
def test_a_night_short_of_time_asks_the_most_informative_prompts(
    home: Home, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for group in ("NEAR_TRAINED", "TRAINED", "NEAR_MEASURED", "MEASURED"):
        monkeypatch.setattr(choice, f"FEWEST_{group}", 2)  # few questions for the tiny model
    mark(home, difference("Who is that?", "Lutz."))
    remember(home, tiny, SLOW)
    events: list[Event] = []
    report = run_night(
        RunRequest(home, quick_settings(home, night={"max_minutes": 5.0}), tiny),
        on_event=events.append,
    )
    assert report.verdict == "published"
    estimate = told(events)
    assert estimate.earlier
    assert estimate.seconds <= 300
    assert "questions whose answers must not change are left out" in str(estimate.left_out)
    assert estimate.left_out in report.notes
    # The computed answers cost nothing now, so nothing has to be left out.
    remember(home, tiny, replace(SLOW, answer=6.0))
    again: list[Event] = []
    run_night(
        RunRequest(home, quick_settings(home, night={"max_minutes": 5.0}), tiny, force=True),
        on_event=again.append,
    )
    assert not told(again).left_out


def test_a_night_that_cannot_end_in_time_is_refused_before_it_starts(
    home: Home, tiny: Path
) -> None:
    mark(home, difference("Who?", "Lutz."))
    remember(home, tiny, replace(SLOW, gate=1000.0))
    events: list[Event] = []
    with pytest.raises(TrainingError, match=r"night\.max_minutes is 180; raise it"):
        run_night(RunRequest(home, quick_settings(home), tiny), on_event=events.append)
    assert any(isinstance(event, Calibrating) for event in events)
    assert not any(event.phase == "anchors" for event in events)
    assert read_pointer(home.adapters).current is None


def test_the_remaining_time_is_divided_between_training_and_tests(home: Home, tiny: Path) -> None:
    settings = quick_settings(home, night={"max_minutes": 10.0}, training={"max_minutes": 60.0})
    run = Run(make_run_folder(home), lambda event: None, Cancellation())
    budget = NightBudget(run, home, settings, "a" * 64, 2, all_tries=False)
    assert budget.training_seconds == 3600  # nothing is known yet
    assert budget.allows_another_try
    from trainer.night.budget.duration_estimate import Estimate

    stages = {"compose": 0.0, "anchors": 0.0, "beside": 10.0, "load": 5.0, "train": 300.0}
    budget.expected = Estimate({**stages, "export": 5.0, "gate": 40.0, "publish": 10.0})
    assert budget.training_seconds == pytest.approx(600 * 0.92 - 60, abs=5)
    assert budget.allows_another_try
    assert budget.allows_another_scale
    assert not budget.asking_is_over()
    run.began -= 450  # as if it had started earlier
    assert budget.asking_is_over()
    assert not budget.allows_another_try
    assert budget.allows_another_scale
    run.began -= 90
    assert not budget.allows_another_scale
    assert budget.training_seconds == pytest.approx(75)  # the useful minimum


def test_an_attempt_that_is_skipped_is_described_by_what_is_different_in_it(
    home: Home, tiny: Path
) -> None:
    run = Run(make_run_folder(home), lambda event: None, Cancellation())
    budget = NightBudget(run, home, quick_settings(home), "a" * 64, 2, all_tries=True)
    budget.skip(NOTHING)
    budget.skip(Sentence("with a learning rate of {rate:g}", rate=1e-3))
    first, second = map(str, budget.left_out)
    assert first.startswith("skipped another attempt: it would not have finished")
    assert second.startswith("skipped another attempt (with a learning rate of 0.001): it would")
