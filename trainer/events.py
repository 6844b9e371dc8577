"""Events of a training run: typed values, and the JSON objects in which they travel.

A run writes its events to `events.jsonl`, one JSON object a line; the training process and the night
process write theirs to standard output. Each object has the key "phase"; phases that report more than
one thing have a class for each. A line may come from another version or another machine, so reading is
tolerant: a field that is missing or has the wrong type becomes 0, "", False, empty or None, and an
object that is none of the events below is kept as `Unknown`. Sentences are stored as in
`memory/sentence.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, cast, get_type_hints

from memory.sentence import Sentence, Stored, to_plain

VERSION = 1
"""Version of the events, in `Started`. Files written before there was one have 0."""

CountedPhase = Literal["anchors", "beside", "gate"]


class LessonSize(NamedTuple):
    """A lesson and its number of wordings."""

    difference: str
    kind: str
    wordings: int


class LessonResult(NamedTuple):
    """The latest results of a lesson in training.

    `margin` is how far the expected reply is ahead on the original question, in nats; None if that was
    not asked yet. `right` of the `seen` wordings came out right.
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
    """Training and chat do not fit on the GPU together: `way` is "instead" or "processor"."""

    phase: ClassVar = "room"
    way: str
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Composing:
    """Lessons are being composed from so many differences."""

    phase: ClassVar = "compose"
    differences: int


@dataclass(frozen=True, slots=True)
class Calibrating:
    """A few tokens are being decoded and a training step is being timed."""

    phase: ClassVar = "calibrate"


@dataclass(frozen=True, slots=True)
class Estimated:
    """How long the run takes, all from its start, in seconds.

    `stages` has each stage of `trainer/stages.py`, those of all `tries` that are expected together.
    `limit` is the time that the run has; `left_out` says what was left out to keep within it.
    `earlier` tells whether an earlier run on this machine was measured.
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
    """A phase that asks questions has asked `done` of `total`."""

    phase: CountedPhase
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class LessonsComposed:
    """The lessons, in the order in which `Step.lessons` and `Judged.reproduced` number them."""

    phase: ClassVar = "beside"
    lessons: tuple[LessonSize, ...]


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """A try began: its number from 1, learning rate and seed."""

    phase: ClassVar = "load"
    attempt: int
    rate: float
    seed: int


@dataclass(frozen=True, slots=True)
class BaseLoading:
    """The training process loads the base's weights."""

    phase: ClassVar = "load"
    device: str


@dataclass(frozen=True, slots=True)
class StepsPlanned:
    """The training is about to take the step after `step`; `seconds` is what preparing it took.

    `step` is 0 unless the training continues from a saved state.
    """

    phase: ClassVar = "train"
    step: int
    steps: int
    threads: int
    precision: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchHalved:
    """Memory ran out, so parts of a step now hold at most `halved` tokens."""

    phase: ClassVar = "train"
    halved: int
    reason: str


@dataclass(frozen=True, slots=True)
class Step:
    """A training step was taken.

    `chosen`, `contrast`, `anchor` and `hidden` are the terms of the loss, `learnt` the share of
    wordings that come out right. `margins` has the mean margin of each difference in this step, in
    nats; `lessons` the results of each lesson in it, by its number.
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
    """The training ended and left its adapter in `folder`.

    `reason` is learnt, steps, time or stopped; `capped` has the rank of each kind of matrix that was
    too small for the configured one. A launch command that reports nothing leaves all but `folder`
    empty.
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
    """The adapter is being loaded in a process of its own."""

    phase: ClassVar = "probe"


@dataclass(frozen=True, slots=True)
class Judged:
    """The gate's verdict on a try; `reproduced` says for each lesson whether its reply was right."""

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
    """An event of another version, or one that lacks what it cannot do without."""

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
    """Bytes of a result file from `start`, in base64, printed by a remote job; `size` is the file's."""

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
"""What a run reports."""
Message: TypeAlias = Event | Ready | Failed | Aborted | ResultPiece
"""What a training process prints: events of the run, and messages for the process that started it."""
OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Logged:
    """An event as `events.jsonl` has it; `at` is in seconds since the run began, None if unknown."""

    at: float | None
    event: Event


def message_to_json(message: Message) -> dict[str, Any]:
    """Return the JSON object of an event or a message."""
    if isinstance(message, Unknown):
        return {"phase": message.phase, **message.values}
    values = {item.name: getattr(message, item.name) for item in fields(message)}
    for name, value in values.items():
        if isinstance(value, datetime):
            values[name] = value.isoformat()
    return {"phase": message.phase, **to_plain(values)}


def read_message(data: Mapping[str, Any]) -> Message | None:
    """Return the event or message of a JSON object; None if it has no phase."""
    phase = data.get("phase")
    if not isinstance(phase, str):
        return None
    kind = _kind(phase, data)
    if kind is None:
        return Unknown(phase, {name: data[name] for name in data if name not in ("phase", "at")})
    stored = Stored(data)
    values = {
        name: stored.sentence(_text(data.get(name)))
        if hint is Sentence
        else _READERS[hint](data.get(name))
        for name, hint in _hints(kind).items()
        if name != "phase"
    }
    if kind is Counted:
        values["phase"] = phase
    return cast("Message", kind(**values))


def read_event(data: Mapping[str, Any]) -> Event | None:
    """Return the event of a JSON object; None if it is none."""
    message = read_message(data)
    return None if isinstance(message, Ready | Failed | Aborted | ResultPiece) else message


def logged_to_json(logged: Logged) -> dict[str, Any]:
    """Return the JSON object of a line of `events.jsonl`."""
    at = {} if logged.at is None else {"at": logged.at}
    return {**at, **message_to_json(logged.event)}


def read_logged(data: Mapping[str, Any]) -> Logged | None:
    """Return the event of a line of `events.jsonl`; None if it is none."""
    event, at = read_event(data), data.get("at")
    if event is None:
        return None
    return Logged(_number(at) if _is_number(at) else None, event)


_ONLY: Mapping[str, type] = {
    kind.phase: kind
    for kind in (
        Started,
        PlacementChosen,
        Composing,
        Calibrating,
        Estimated,
        Trained,
        Exporting,
        Probing,
        Publishing,
        Reported,
        Ready,
        Failed,
        Aborted,
        ResultPiece,
    )
}
"""The class of each phase that has only one."""


def _kind(phase: str, data: Mapping[str, Any]) -> type | None:
    """Return the class of an event; None if it is unknown."""
    match phase:
        case "anchors":
            return Counted
        case "beside":
            return LessonsComposed if "lessons" in data else Counted
        case "gate":
            return Judged if "passed" in data else Counted
        case "load" if _whole(data.get("attempt")) > 0:
            return TrialStarted
        case "load" if "device" in data:
            return BaseLoading
        case "train" if "halved" in data:
            return BatchHalved
        case "train" if _is_number(data.get("loss")):
            return Step
        case "train" if data.get("step") == 0 or "threads" in data:
            return StepsPlanned
    return _ONLY.get(phase)


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    """Return the types of a class's fields."""
    hints = get_type_hints(kind)
    return {item.name: hints[item.name] for item in fields(kind)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(value: object) -> float:
    return float(cast("float", value)) if _is_number(value) else 0.0


def _whole(value: object) -> int:
    return value if isinstance(value, int) and abs(value) < 1 << 53 else 0


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return None


def _lesson_sizes(value: object) -> tuple[LessonSize, ...]:
    return tuple(
        LessonSize(_text(one[0]), _text(one[1]), _whole(one[2]))
        for one in (value if isinstance(value, list) else ())
        if isinstance(one, list) and len(one) >= 3
    )


def _lesson_results(value: object) -> Mapping[int, LessonResult]:
    found: dict[int, LessonResult] = {}
    for name, one in (value if isinstance(value, Mapping) else {}).items():
        number = _whole(int(name)) if str(name).isdecimal() and len(str(name)) < 9 else None
        if number is not None and isinstance(one, list) and len(one) >= 2:
            margin = _number(one[0]) if _is_number(one[0]) else None
            found[number] = LessonResult(margin, _whole(one[1]), _whole(one[2:] and one[2]))
    return found


def _table(read: Callable[[object], Any]) -> Callable[[object], Mapping[str, Any]]:
    def table(value: object) -> Mapping[str, Any]:
        items = value.items() if isinstance(value, Mapping) else ()
        return {str(name): read(one) for name, one in items if _is_number(one)}

    return table


_READERS: Mapping[Any, Callable[[object], Any]] = {
    int: _whole,
    float: _number,
    str: _text,
    bool: bool,
    str | None: lambda value: None if value is None else str(value),
    datetime | None: _time,
    tuple[bool, ...]: lambda value: tuple(map(bool, value)) if isinstance(value, list) else (),
    tuple[LessonSize, ...]: _lesson_sizes,
    Mapping[int, LessonResult]: _lesson_results,
    Mapping[str, float]: _table(_number),
    Mapping[str, int]: _table(_whole),
}
"""How the value of a field of each type is read."""
