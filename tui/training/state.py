"""State of a training as the Training screen shows it: one immutable value, computed from its events.

The events are in a file in the run's folder (`trainer/night/run.py`), so a screen that opens late still
has all of them. Lessons are known by the ids of their differences; their text stays in the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from memory.errors import FileError
from memory.files.bounded_read import read_objects
from trainer.events import (
    BatchHalved,
    Composing,
    Event,
    Judged,
    LessonsComposed,
    Logged,
    Reported,
    Started,
    Step,
    StepsPlanned,
    Trained,
    TrialStarted,
    read_logged,
)
from trainer.night.run import EVENTS
from tui.training.progress import Progress, count_in
from tui.training.tries import LessonState, Try

LOGGED = 2000
"""Entries that the log keeps at most; then a quarter of them goes at once."""

STAGES: Mapping[str, tuple[str, ...]] = {
    "room": ("room",),
    "compose": ("start", "compose"),
    "anchors": ("anchors",),
    "beside": ("beside",),
    "load": ("load",),
    "train": ("train", "trained"),
    "export": ("export", "probe"),
    "gate": ("gate",),
    "publish": ("publish", "report"),
}
"""What a training goes through, in order, each with the events' phases that belong to it."""
AGAIN = ("load", "train", "export", "gate")
"""Stages that each try goes through anew."""
_OF_PHASE = {phase: stage for stage, phases in STAGES.items() for phase in phases}


@dataclass(frozen=True, slots=True)
class StageSpan:
    """One stage as it was gone through; times in seconds since the run began."""

    stage: str
    attempt: int
    began: float
    since: float
    """When its counting began."""
    last: float
    """When it was heard of last."""
    ended: float | None = None
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage began; `total` is what it counts to, `attempt` and `rate` are the current try's."""

    stage: str
    total: int
    attempt: int = 0
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class FirstRight:
    """A lesson came out right for the first time."""

    difference: str
    kind: str


LogItem: TypeAlias = (
    StageStarted | FirstRight | StepsPlanned | BatchHalved | Step | Trained | Judged | Reported
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the log; `tui/training/log_text.py` words it."""

    at: float
    item: LogItem


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Where a training stands. `at` is the time of the last event, in seconds since it began."""

    began: datetime | None = None
    at: float = 0.0
    pid: int = 0
    model: str = ""
    planned: int = 1
    """Tries that are made at most; in a practice all of them are."""
    practice: bool = False
    differences: int = 0
    lessons: tuple[LessonState, ...] = ()
    spans: tuple[StageSpan, ...] = ()
    tries: tuple[Try, ...] = ()
    log: tuple[Entry, ...] = ()
    progress: Progress = field(default_factory=Progress)
    verdict: str = ""
    sentence: str = ""

    @property
    def ended(self) -> bool:
        """Whether the run told its end."""
        return bool(self.verdict)

    @property
    def now(self) -> StageSpan | None:
        """The stage under way, or the one in which it broke off."""
        return self.spans[-1] if self.spans and self.spans[-1].ended is None else None

    def span(self, stage: str, attempt: int) -> StageSpan | None:
        """Return a stage as a try went through it; the tries share those that are gone through once."""
        for span in reversed(self.spans):
            if span.stage == stage and (stage not in AGAIN or span.attempt == attempt):
                return span
        return None

    def after(self, logged: Logged) -> TrainingState:
        """Return the state after an event."""
        event = logged.event
        at = self.at if logged.at is None else logged.at
        state = replace(self, at=at, progress=self.progress.after(event))
        if isinstance(event, TrialStarted):
            started = Try(event.attempt, event.rate, state.lessons)
            state = replace(state, tries=(*state.tries, started))
        state = _advance(state, event)
        match event:
            case Started():
                return replace(
                    state,
                    began=event.began,
                    pid=event.pid,
                    model=event.model,
                    planned=max(1, event.tries),
                    practice=event.practice,
                )
            case Composing(differences=count):
                return replace(state, differences=count).noting(StageStarted("compose", count))
            case LessonsComposed():
                return replace(state, lessons=tuple(LessonState(*size) for size in event.lessons))
            case Trained():
                return state.noting(event)
            case Reported():
                event = replace(event, verdict=event.verdict or "ended")
                state = replace(state, verdict=event.verdict, sentence=event.sentence)
                return state.noting(event)
        return _advance_try(state, event) if state.tries else state

    def noting(self, item: LogItem) -> TrainingState:
        """Return the state with another entry in the log."""
        kept = self.log if len(self.log) < LOGGED else self.log[LOGGED // 4 :]
        return replace(self, log=(*kept, Entry(self.at, item)))

    def trying(self, **values: Any) -> TrainingState:
        """Return the state with the last try changed; without a try there is nothing to change."""
        if not self.tries:
            return self
        return replace(self, tries=(*self.tries[:-1], replace(self.tries[-1], **values)))


def _advance(state: TrainingState, event: Event) -> TrainingState:
    """Enter the stage of an event, or continue in it."""
    stage = _OF_PHASE.get(event.phase)
    if stage is None or (isinstance(event, Reported) and event.verdict == "failed"):
        return state  # a failed run ends in the stage that failed
    attempt = state.tries[-1].number if state.tries else 0
    count = count_in(event)
    span, at = state.now, state.at
    if span is None or (span.stage, span.attempt) != (stage, attempt):
        closed = (*state.spans[:-1], replace(span, ended=at)) if span else state.spans
        span = StageSpan(stage, attempt, at, at, at)
        state = replace(state, spans=(*closed, span))
        # Composing, training and the report have entries of their own.
        if stage not in ("compose", "train") and not isinstance(event, Reported):
            rate = state.tries[-1].rate if state.tries else 0.0
            total = count[1] if count else 0
            state = state.noting(StageStarted(stage, total, attempt, rate))
    done, total = count or (span.done, span.total)
    since = at if done < span.done else span.since  # the gate counts again for each scale
    span = replace(span, since=since, last=at, done=done, total=total)
    if isinstance(event, Reported):
        span = replace(span, ended=at)
    return replace(state, spans=(*state.spans[:-1], span))


def _advance_try(state: TrainingState, event: Event) -> TrainingState:
    """Apply an event to the current try."""
    current = state.tries[-1]
    match event:
        case StepsPlanned(steps=steps):
            state = state.trying(
                steps=steps, planned=steps, threads=event.threads, precision=event.precision
            )
            return state.noting(event)
        case BatchHalved():
            return state.noting(event)
        case Step():
            lessons, fresh = current.with_results(event.lessons)
            state = state.trying(
                step=event.step,
                steps=event.steps,
                loss=current.loss.after(event.loss),
                learnt=current.learnt.after(event.learnt),
                lessons=lessons,
                speed=event.tokens_per_second,
                memory_mb=event.memory_mb,
            )
            if event.step % max(1, round(current.planned / 10)) == 0:
                state = state.noting(event)
            for lesson in fresh:
                state = state.noting(FirstRight(lesson.difference, lesson.kind))
            return state
        case Judged(reproduced=reproduced):
            lessons = current.lessons
            if len(reproduced) == len(lessons):
                lessons = tuple(
                    replace(lesson, said=right)
                    for lesson, right in zip(lessons, reproduced, strict=True)
                )
            state = state.trying(passed=event.passed, sentence=event.sentence, lessons=lessons)
            return state.noting(event)
    return state


def read_state(folder: Path) -> TrainingState:
    """Return the state after the events that a run's folder has so far."""
    state = TrainingState()
    with suppress(OSError, FileError):
        for line in read_objects(folder / EVENTS):
            if (logged := read_logged(line)) is not None:
                state = state.after(logged)
    return state
