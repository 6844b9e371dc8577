"""Write events as JSON objects and read them back.

A run writes its events to `events.jsonl`, one object per line; the training process and the night
process write theirs to standard output. Each object has the keys "phase" and "event", the name of its
class in `CLASSES`. Files of earlier versions lack "event"; the class is then guessed from the phase
and the keys.

A line may come from another version or another machine, so reading is tolerant: a field that is
missing or has the wrong type becomes 0, "", False, empty or None, and an object that is no known event
is read as `Unknown`. Sentences are stored as in `memory/sentence.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any, cast, get_args, get_type_hints

from memory.sentence import Sentence, Stored, to_plain
from trainer.events import (
    Aborted,
    BaseLoading,
    BatchHalved,
    Calibrating,
    Composing,
    Counted,
    CountedPhase,
    Estimated,
    Event,
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

CLASSES: Mapping[str, type] = {
    "started": Started,
    "placement_chosen": PlacementChosen,
    "composing": Composing,
    "calibrating": Calibrating,
    "estimated": Estimated,
    "counted": Counted,
    "lessons_composed": LessonsComposed,
    "trial_started": TrialStarted,
    "base_loading": BaseLoading,
    "steps_planned": StepsPlanned,
    "batch_halved": BatchHalved,
    "step": Step,
    "trained": Trained,
    "exporting": Exporting,
    "probing": Probing,
    "judged": Judged,
    "publishing": Publishing,
    "reported": Reported,
    "ready": Ready,
    "failed": Failed,
    "aborted": Aborted,
    "result_piece": ResultPiece,
}
"""The class of each event or message, by the name under "event". Names in files never change."""
_NAMES: Mapping[type, str] = {kind: name for name, kind in CLASSES.items()}


def message_to_json(message: WorkerMessage) -> dict[str, Any]:
    """Return the JSON object of an event or a message."""
    if isinstance(message, Unknown):
        return {"phase": message.phase, **message.values}
    values = {item.name: getattr(message, item.name) for item in fields(message)}
    for name, value in values.items():
        if isinstance(value, datetime):
            values[name] = value.isoformat()
    return {"phase": message.phase, "event": _NAMES[type(message)], **to_plain(values)}


def read_message(data: Mapping[str, Any]) -> WorkerMessage | None:
    """Return the event or message of a JSON object; None if it has no phase."""
    phase = data.get("phase")
    if not isinstance(phase, str):
        return None
    kind = CLASSES.get(str(data["event"])) if "event" in data else _guessed_class(phase, data)
    if kind is None or _lacks_required(kind, phase, data):
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
    return cast("WorkerMessage", kind(**values))


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


def _lacks_required(kind: type, phase: str, data: Mapping[str, Any]) -> bool:
    """Return whether an object lacks a value without which an event of this class means nothing."""
    if kind is Step:
        return not _is_number(data.get("loss"))
    if kind is TrialStarted:
        return _whole(data.get("attempt")) <= 0
    return kind is Counted and phase not in get_args(CountedPhase)


_ONLY_ONE: Mapping[str, type] = {
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


def _guessed_class(phase: str, data: Mapping[str, Any]) -> type | None:
    """Return the class of an object without "event", as earlier versions wrote; None if unknown.

    Launch commands may also report without it.
    """
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
    return _ONLY_ONE.get(phase)


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
