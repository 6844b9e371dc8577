"""Events of a training run.

Each event has the phase of the run that it belongs to. A phase that reports several kinds of things
has a class for each; `trainer/event_json.py` has their names in JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

from memory.sentence import Sentence

VERSION = 1
"""Version of the events, in `Started`. Files written before there was one have 0."""

CountedPhase = Literal["anchors", "beside", "gate"]


class LessonSize(NamedTuple):
    """The number of wordings of a lesson."""

    difference: str
    kind: str
    wordings: int


class LessonResult(NamedTuple):
    """The latest results of a lesson in training.

    `margin` is the lead of the expected reply on the original question, in nats; None if that has not
    been trained yet. `right` of the `seen` wordings are correct.
    """

    margin: float | None
    right: int
    seen: int


@dataclass(frozen=True, slots=True)
class Started:
    """The run began. `asked_by` is the process that started this one, 0 if none did."""

    phase: ClassVar = "start"
    pid: int
    asked_by: int
    model: str
    tries: int
    practice: bool
    began: datetime | None
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class PlacementChosen:
    """The GPU cannot hold the training and the chat; `way` is "instead" or "processor"."""

    phase: ClassVar = "room"
    way: str
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Composing:
    """Lessons are being composed from this number of differences."""

    phase: ClassVar = "compose"
    differences: int


@dataclass(frozen=True, slots=True)
class Calibrating:
    """Decoding and a training step are being timed."""

    phase: ClassVar = "calibrate"


@dataclass(frozen=True, slots=True)
class Estimated:
    """The estimated duration of the run, in seconds, including the time that has passed.

    `stages` has the seconds of each stage in `trainer/stages.py`, summed over the expected number of
    trials, `tries`. `limit` is the time limit of the run, and `left_out` says what was left out to
    keep it. `earlier` is true if an earlier run was measured on this machine.
    """

    phase: ClassVar = "estimate"
    seconds: float
    limit: float
    tries: int
    earlier: bool
    stages: Mapping[str, float]
    left_out: Sentence


@dataclass(frozen=True, slots=True)
class Counted:
    """`done` of `total` questions of a phase have been asked."""

    phase: CountedPhase
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class LessonsComposed:
    """The lessons were composed; their order is that of `Step.lessons` and `Judged.reproduced`."""

    phase: ClassVar = "beside"
    lessons: tuple[LessonSize, ...]


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """A trial began: its number from 1, learning rate and seed."""

    phase: ClassVar = "load"
    attempt: int
    rate: float
    seed: int


@dataclass(frozen=True, slots=True)
class BaseLoading:
    """The training process is loading the base's weights."""

    phase: ClassVar = "load"
    device: str


@dataclass(frozen=True, slots=True)
class StepsPlanned:
    """The training is about to start; `seconds` is the time that the preparation took.

    `step` is the number of steps already taken: 0 unless the training resumes from a checkpoint.
    """

    phase: ClassVar = "train"
    step: int
    steps: int
    threads: int
    precision: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchHalved:
    """Memory ran out, so a micro-batch now has at most `halved` tokens."""

    phase: ClassVar = "train"
    halved: int
    reason: str


@dataclass(frozen=True, slots=True)
class Step:
    """A training step was taken.

    `chosen`, `contrast`, `anchor` and `hidden` are the terms of the loss, `learnt` is the share of
    wordings that are correct. `margins` has the mean margin of each difference in this step, in nats,
    and `lessons` the results of each lesson in it, by its number.
    """

    phase: ClassVar = "train"
    step: int
    steps: int
    loss: float
    chosen: float
    contrast: float
    anchor: float
    hidden: float
    learnt: float
    margins: Mapping[str, float]
    lessons: Mapping[int, LessonResult]
    tokens_per_second: int
    memory_mb: int
    rate: float


@dataclass(frozen=True, slots=True)
class Trained:
    """The training ended and wrote its adapter to `folder`.

    `reason` is learnt, steps, time or stopped. `capped` has the rank of each kind of matrix that is
    too small for the configured rank. If a launch command reports nothing, only `folder` is set.
    """

    phase: ClassVar = "trained"
    folder: str
    steps: int = 0
    learnt: float = 0.0
    drift: float = 0.0
    best_step: int = 0
    reason: str = ""
    rate: float = 0.0
    capped: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    step_seconds: float = 0.0
    tokens: int = 0
    memory_mb: int = 0


@dataclass(frozen=True, slots=True)
class Exporting:
    """The adapter is being converted to GGUF."""

    phase: ClassVar = "export"


@dataclass(frozen=True, slots=True)
class Probing:
    """The adapter is being loaded in a child process."""

    phase: ClassVar = "probe"


@dataclass(frozen=True, slots=True)
class Judged:
    """The gate's verdict on a trial; `reproduced` says for each lesson whether its reply is correct."""

    phase: ClassVar = "gate"
    passed: bool
    scale: float
    sentence: Sentence
    reproduced: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Publishing:
    """The adapter is being published."""

    phase: ClassVar = "publish"


@dataclass(frozen=True, slots=True)
class Reported:
    """The run ended and its report is written. `adapter` is the published one's id."""

    phase: ClassVar = "report"
    verdict: str
    sentence: Sentence
    adapter: str | None


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event of another version, or one that lacks a required field."""

    phase: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ready:
    """The training process has finished its imports."""

    phase: ClassVar = "ready"


@dataclass(frozen=True, slots=True)
class Failed:
    """A job failed; `kind` is refused, unstable, memory or error."""

    phase: ClassVar = "failed"
    reason: Sentence
    kind: str


@dataclass(frozen=True, slots=True)
class Aborted:
    """A job was aborted on request."""

    phase: ClassVar = "aborted"


@dataclass(frozen=True, slots=True)
class ResultPiece:
    """A part of a result file of `size` bytes, from `start`, in base64; printed by a remote job."""

    phase: ClassVar = "piece"
    file: str
    start: int
    size: int
    data: str


Event: TypeAlias = (
    Started
    | PlacementChosen
    | Composing
    | Calibrating
    | Estimated
    | Counted
    | LessonsComposed
    | TrialStarted
    | BaseLoading
    | StepsPlanned
    | BatchHalved
    | Step
    | Trained
    | Exporting
    | Probing
    | Judged
    | Publishing
    | Reported
    | Unknown
)
"""An event that a run reports."""
WorkerMessage: TypeAlias = Event | Ready | Failed | Aborted | ResultPiece
"""What a training process prints: events of the run, and messages for the process that started it."""
OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Logged:
    """An event in `events.jsonl`; `at` is in seconds since the run began, None if unknown."""

    at: float | None
    event: Event
