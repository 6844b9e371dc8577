"""Events survive JSON, and malformed ones are read as far as possible."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from memory.sentence import Sentence
from tests.tui.recorded import EVENTS
from trainer.event_json import (
    CLASSES,
    logged_to_json,
    message_to_json,
    read_event,
    read_logged,
    read_message,
)
from trainer.events import (
    Aborted,
    BaseLoading,
    BatchHalved,
    Calibrating,
    Composing,
    Counted,
    Estimated,
    Exporting,
    Failed,
    Judged,
    LessonResult,
    LessonsComposed,
    LessonSize,
    Logged,
    PlacementChosen,
    Probing,
    Publishing,
    Ready,
    Reported,
    ResultPiece,
    Started,
    Step,
    StepsPlanned,
    Trained,
    TrialStarted,
    Unknown,
    WorkerMessage,
)

STEP = Step(
    1, 4, 2.0, 1.5, 0.5, 0.0, 0.0, 0.5, {"d": -1.5}, {3: LessonResult(None, 0, 1)}, 9, 8, 1e-4
)
MESSAGES: tuple[WorkerMessage, ...] = (
    Started(1, 0, "tiny", 2, False, datetime(2026, 3, 10, tzinfo=UTC)),
    PlacementChosen("instead", Sentence("The GPU is full.")),
    Composing(2),
    Calibrating(),
    Estimated(21.8, 10800.0, 1, True, {"train": 12.0}, Sentence("")),
    Counted("anchors", 1, 3),
    LessonsComposed((LessonSize("d", "contrast", 2),)),
    Counted("beside", 1, 3),
    TrialStarted(1, 1e-4, 1),
    BaseLoading("cpu"),
    StepsPlanned(0, 4, 1, "float32", 0.5),
    BatchHalved(128, "memory"),
    STEP,
    Trained("adapter", 4, 1.0, 0.1, 4, "learnt", 1e-4, {"q_proj": 4}, 1.0, 0.2, 50, 8),
    Exporting(),
    Probing(),
    Counted("gate", 1, 3),
    Judged(True, 1.0, Sentence("It holds."), (True, False)),
    Publishing(),
    Reported("published", Sentence("Learned."), "0123"),
    Reported("failed", Sentence("It broke."), None),
    Unknown("of a newer version", {"more": [1]}),
    Ready(),
    Failed(Sentence("no number"), "unstable"),
    Aborted(),
    ResultPiece("adapter.safetensors", 0, 5, "aGVsbG8="),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_read_back_unchanged(message: WorkerMessage) -> None:
    assert read_message(json.loads(json.dumps(message_to_json(message)))) == message


def test_every_class_has_a_name_and_is_tested() -> None:
    classes = {*get_args(WorkerMessage)} - {Unknown}
    assert {*CLASSES.values()} == classes == {type(message) for message in MESSAGES} - {Unknown}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_the_class_is_read_from_the_name_and_not_from_the_other_keys(
    message: WorkerMessage,
) -> None:
    written = message_to_json(message)
    if isinstance(message, Unknown):
        assert "event" not in written
        return
    misleading = {"passed": True, "lessons": [], "halved": 1, "device": "cpu", "threads": 1}
    read = read_message({**misleading, **written})
    assert type(read) is CLASSES[written["event"]] is type(message)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_an_object_of_an_earlier_version_has_no_name(message: WorkerMessage) -> None:
    old = {name: value for name, value in message_to_json(message).items() if name != "event"}
    assert read_message(old) == message


@pytest.mark.parametrize("name", ["of_a_newer_version", "", 3, None, ["step"]])
def test_an_unknown_name_is_read_as_unknown_and_written_back(name: object) -> None:
    data = {"phase": "train", "event": name, "loss": 1.0}
    unknown = read_event({"at": 1.0, **data})
    assert unknown == Unknown("train", {"event": name, "loss": 1.0})
    assert message_to_json(unknown) == data


def test_the_version_is_written_and_an_older_file_has_none() -> None:
    assert message_to_json(MESSAGES[0])["version"] == 1
    old = read_logged(EVENTS[0])
    assert old is not None
    assert isinstance(old.event, Started)
    assert old.event.version == 0


def test_every_event_of_an_older_run_is_known_and_keeps_its_keys() -> None:
    for line in EVENTS:
        logged = read_logged(line)
        assert logged is not None
        assert not isinstance(logged.event, Unknown)
        written = json.loads(json.dumps(logged_to_json(logged)))
        assert line.items() <= written.items()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"phase": "train", "step": 1}, Unknown("train", {"step": 1})),
        ({"phase": "load", "attempt": "first"}, Unknown("load", {"attempt": "first"})),
        (
            {"phase": "load", "event": "trial_started"},
            Unknown("load", {"event": "trial_started"}),
        ),
        ({"phase": "train", "event": "counted"}, Unknown("train", {"event": "counted"})),
        ({"phase": "anchors", "done": "many", "total": 2**70}, Counted("anchors", 0, 0)),
        (
            {"phase": "beside", "lessons": [["a"], 4, ["b", "c", 1]]},
            LessonsComposed((LessonSize("b", "c", 1),)),
        ),
        ({"phase": "gate", "passed": False}, Judged(False, 0.0, Sentence(""), ())),
        (
            {"phase": "start", "began": "yesterday", "pid": 1e300},
            Started(0, 0, "", 0, False, None, 0),
        ),
        ({"phase": "compose", "differences": None, "more": 1}, Composing(0)),
    ],
)
def test_a_malformed_event_keeps_what_makes_sense(
    data: Mapping[str, Any], expected: WorkerMessage
) -> None:
    assert read_event(data) == expected


def test_malformed_numbers_of_a_step_are_left_out() -> None:
    lessons = {"x": [1, 2], "99999999999": [1, 2], "1": 3, "2": [float("nan"), "two", 4]}
    data = {**message_to_json(STEP), "learnt": None, "margins": {"d": "high"}, "lessons": lessons}
    step = read_event(data)
    assert isinstance(step, Step)
    assert (step.loss, step.learnt, step.margins) == (2.0, 0.0, {})
    assert step.lessons == {2: LessonResult(None, 0, 4)}
    assert read_event({**data, "loss": float("nan")}) != step
    assert isinstance(read_event({**data, "loss": float("nan")}), Unknown)


def test_an_object_without_a_phase_is_not_an_event() -> None:
    assert read_logged({"at": 1.0}) is None
    assert read_event({"phase": 3}) is None
    assert read_event({"phase": "ready"}) is None  # for the process that started the training
    assert read_logged({"phase": "export", "at": "soon"}) == Logged(None, Exporting())
