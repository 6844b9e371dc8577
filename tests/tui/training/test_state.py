"""The state of a training, computed from events: recorded, current and malformed ones."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from memory.sentence import NOTHING, Sentence
from memory.settings.paths import Home
from tests.support.values import difference, quick_settings
from tests.trainer.night.test_run import mark
from tests.tui.recorded import ASKED, BEGAN, EVENTS
from trainer.event_json import read_logged
from trainer.events import Estimated
from trainer.night.night import run_night
from trainer.night.request import RunRequest
from trainer.stages import STAGES
from tui.training.log_text import entry_text
from tui.training.remaining_time import Remaining, estimate, estimate_text, rough_time
from tui.training.state import (
    MAX_ENTRIES,
    FirstRight,
    StageStarted,
    TrainingView,
    read_state,
)
from tui.training.trials import MAX_POINTS, Curve


@pytest.fixture(scope="module")
def states() -> list[TrainingView]:
    """The recorded run after each of its events."""
    logged = [read_logged(event) for event in EVENTS]
    events = [event for event in logged if event is not None]
    assert len(events) == len(EVENTS)
    states = itertools.accumulate(events, TrainingView.after, initial=TrainingView())
    return list(states)[1:]


def test_a_recorded_run_is_read_completely(states: list[TrainingView]) -> None:
    end = states[-1]
    assert (end.began, end.pid, end.model) == (BEGAN, EVENTS[0]["pid"], "starter.gguf")
    assert (end.planned, end.practice, end.differences) == (2, False, 6)
    assert end.verdict == "published"
    assert end.ended
    assert end.current_stage is None
    assert [(one.number, one.rate, one.passed, one.good) for one in end.trials] == [
        (1, 1e-5, False, 0),
        (2, 6e-3, True, 7),
    ]
    assert [(lesson.difference, lesson.kind) for lesson in end.lessons][:2] == [
        (ASKED[0][0], "contrast"),
        (ASKED[0][0], "naming"),
    ]
    second = end.trials[1]
    assert all(lesson.reproduced and lesson.right <= lesson.wordings for lesson in second.lessons)
    losses = [event["loss"] for event in EVENTS if "loss" in event]
    assert second.loss.points == tuple(losses[-second.step :])
    assert second.learnt.points[-1] > 0.9
    assert second.memory_mb > 0
    assert second.threads == 1


def test_the_stages_are_consecutive_and_their_times_add_up(states: list[TrainingView]) -> None:
    end = states[-1]
    made = [(span.stage, span.attempt) for span in end.spans]
    once, again = ["compose", "anchors", "beside"], ["load", "train", "export", "gate"]
    assert made == [
        *((stage, 0) for stage in once),
        *((stage, 1) for stage in again),
        *((stage, 2) for stage in again),
        ("publish", 2),
    ]
    for before, after in itertools.pairwise(end.spans):
        assert before.ended == after.began
    assert end.spans[-1].ended == end.at == EVENTS[-1]["at"]
    assert end.span("train", 1) != end.span("train", 2)
    assert end.span("room", 1) is None
    assert end.span("anchors", 1) is end.span("anchors", 2)


def test_a_lesson_is_correct_by_its_margin_and_later_by_the_gate(
    states: list[TrainingView],
) -> None:
    tried = [state.trials[-1] for state in states if state.trials]
    assert tried[0].good == 0
    assert max(one.good for one in tried) == 7
    for one in tried:
        for lesson in one.lessons:
            if lesson.reproduced is None:
                assert lesson.good == (lesson.margin is not None and lesson.margin > 0)
    firsts = [entry for entry in states[-1].log if isinstance(entry.item, FirstRight)]
    assert len(firsts) == 7  # each once, however often it was lost and found again


def test_every_log_entry_has_a_text(states: list[TrainingView]) -> None:
    lines = [entry_text(entry, lambda one, kind: f"{kind} {one}") for entry in states[-1].log]
    assert lines[0] == "composing lessons from 6 differences"
    assert "attempt 1, learning rate 1e-05: loading weights" in lines
    assert "training for at most 90 steps, 1 thread, float32" in lines
    assert f"correct for the first time: naming {ASKED[0][0]}" in lines
    assert any(line.startswith("✗ not passed: lessons reproduced: 0%") for line in lines)
    assert lines[-1].startswith("published: Learned 7 of 7")
    assert [entry.at for entry in states[-1].log] == sorted(entry.at for entry in states[-1].log)


def test_the_remaining_time_comes_from_the_pace_and_the_estimate(
    states: list[TrainingView],
) -> None:
    half = next(state for state in states if state.trials and state.trials[-1].step == 45)
    span = half.current_stage
    assert span is not None
    pace = (span.last - span.began) / 45
    alone = estimate(replace(half, estimate=None), half.at)
    assert alone.stage == pytest.approx(45 * pace)
    assert alone.whole is None
    later = estimate(half, half.at + 1)
    assert later.stage == pytest.approx(45 * pace - 1)
    told = Estimated(18.0, 600.0, 1, True, dict.fromkeys(STAGES, 2.0), NOTHING)
    whole = estimate(replace(half, estimate=told), half.at).whole
    assert whole == pytest.approx(45 * pace + 3 * 2.0)  # export, gate, publish
    twice = estimate(replace(half, estimate=replace(told, tries=2)), half.at).whole
    assert twice == pytest.approx(45 * pace + 1.0 + 1.0 + 2.0)  # the first two are of both tries
    assert estimate(states[-1], 30) == Remaining(None, None)


def test_an_estimate_is_shown_with_its_parts_and_cuts() -> None:
    stages = {"compose": 2.0, "anchors": 90.0, "beside": 3.0, "train": 200.0, "gate": 30.0}
    said = Sentence("half of it is left out")
    event = Estimated(325.0, 600.0, 1, False, stages, said)
    assert estimate_text(event) == (
        "this takes about 5 minutes (base answers about 90 s, training about 3 minutes, "
        "gate about 30 s), and about 4 minutes more for each rejected attempt; half of it is left out"
    )
    one = Estimated(65.0, 600.0, 1, False, {"compose": 6.0, "train": 52.0, "gate": 2.0}, NOTHING)
    assert estimate_text(one) == (
        "this takes about 65 s, and about 55 s more for each rejected attempt"
    )
    short = Estimated(4.0, 600.0, 1, False, {"train": 4.0}, NOTHING)
    assert estimate_text(short) == "this takes a few seconds"


@pytest.mark.slow
def test_a_current_run_reports_its_lessons(home: Home, tiny: Path) -> None:
    mark(home, difference("Who?", "Lutz.", missed="who is meant"), difference("Where?", "Here."))
    report = run_night(RunRequest(home, quick_settings(home), tiny))
    state = read_state(Path(report.run))
    assert state.verdict == report.verdict
    assert len(state.trials) == 1
    assert {lesson.difference for lesson in state.lessons} == {
        fate.difference for fate in report.fates
    }
    assert [lesson.kind for lesson in state.lessons].count("naming") == 1
    assert all(lesson.reproduced is not None for lesson in state.trials[0].lessons)
    assert any(lesson.margin is not None for lesson in state.trials[0].lessons)
    assert state.differences == 2
    assert state.began == report.started
    assert state.estimate is not None
    assert dict(report.estimated) == dict(state.estimate.stages)
    assert state.estimate.seconds == pytest.approx(sum(state.estimate.stages.values()), abs=0.2)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"phase": "of a newer trainer", "at": "soon"},
        {"phase": "train", "step": "two", "loss": float("nan"), "lessons": {"x": 3, "99": [1, 2]}},
        {"phase": "train", "step": 3, "loss": 1.0, "lessons": [1], "learnt": None},
        {"phase": "load", "attempt": "first"},
        {"phase": "beside", "lessons": "all"},
        {"phase": "beside", "lessons": [["one"], 4, None]},
        {"phase": "gate", "passed": "yes", "reproduced": [True]},
        {"phase": "start", "began": "yesterday", "pid": 1e300, "tries": -4},
        {"phase": "gate", "done": 2**70, "total": -1},
        {"phase": "estimate", "stages": [1], "tries": "two", "limit": None},
        {"phase": "report"},
    ],
)
def test_malformed_events_are_ignored(states: list[TrainingView], event: dict[str, object]) -> None:
    logged = read_logged(event)
    for before in (TrainingView(), states[20], states[60], states[-1]):
        after = before.after(logged) if logged else before
        assert len(after.lessons) in (0, len(before.lessons))
        for entry in after.log:
            assert entry_text(entry, lambda one, _kind: one)
        estimate(after, 40.0)


def test_long_curves_are_downsampled_and_keep_their_shape() -> None:
    curve = Curve()
    for number in range(10_000):
        curve = curve.after(float(number))
    points = curve.points
    assert MAX_POINTS // 2 <= len(points) <= MAX_POINTS + 1
    assert list(points) == sorted(points)
    assert points[0] < 50
    assert points[-1] > 9_950
    assert Curve().points == ()


def test_a_long_log_keeps_its_end() -> None:
    state = TrainingView()
    for number in range(MAX_ENTRIES + 10):
        state = state.with_entry(StageStarted("gate", number))
    assert MAX_ENTRIES // 2 < len(state.log) <= MAX_ENTRIES
    assert state.log[-1].item == StageStarted("gate", MAX_ENTRIES + 9)


def test_times_are_rounded_to_their_accuracy() -> None:
    assert [rough_time(seconds) for seconds in (3, 23, 61, 600, 7800)] == [
        "a few seconds", "about 25 s", "about 60 s", "about 10 minutes", "about 2 h 10 min",
    ]  # fmt: skip
