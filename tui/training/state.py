"""State of a training as the Training screen shows it: one immutable value, computed from its events.

The events are read from a file in the run's folder (`trainer/night/run.py`), so a screen that opens
late has all of them. Lessons are identified by the ids of their differences; their text stays in the
journal.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from memory.errors import FileError
from memory.files.bounded_read import read_objects
from memory.sentence import NOTHING, Sentence
from trainer.event_json import read_logged
from trainer.events import (
    BatchHalved,
    Composing,
    Estimated,
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
)
from trainer.night.run import EVENTS
from trainer.stages import PER_TRIAL, STAGES
from tui.training.progress import Progress, count_in
from tui.training.trials import LessonState, TrialState

MAX_ENTRIES = 2000
"""Number of log entries at which the oldest quarter is dropped."""

_OF_PHASE = {phase: stage for stage, phases in STAGES.items() for phase in phases}


@dataclass(frozen=True, slots=True)
class StageSpan:
    """Times and count of one stage; times are in seconds since the run began."""

    stage: str
    attempt: int
    began: float
    since: float
    """Start of the current count."""
    last: float
    """Time of its latest event."""
    ended: float | None = None
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage began; `total` is its number of items, `attempt` and `rate` are those of the trial."""

    stage: str
    total: int
    attempt: int = 0
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class FirstRight:
    """A lesson was answered correctly for the first time."""

    difference: str
    kind: str


LogItem: TypeAlias = (
    StageStarted
    | FirstRight
    | Estimated
    | StepsPlanned
    | BatchHalved
    | Step
    | Trained
    | Judged
    | Reported
)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry of the log; `tui/training/log_text.py` has its text."""

    at: float
    item: LogItem


@dataclass(frozen=True, slots=True)
class TrainingView:
    """State of a training. `at` is the time of the latest event, in seconds since the run began."""

    began: datetime | None = None
    at: float = 0.0
    pid: int = 0
    model: str = ""
    planned: int = 1
    """Maximum number of trials; a practice run makes all of them."""
    practice: bool = False
    differences: int = 0
    estimate: Estimated | None = None
    """The estimated duration; None until it is known."""
    lessons: tuple[LessonState, ...] = ()
    spans: tuple[StageSpan, ...] = ()
    trials: tuple[TrialState, ...] = ()
    log: tuple[LogEntry, ...] = ()
    progress: Progress = field(default_factory=Progress)
    verdict: str = ""
    sentence: Sentence = NOTHING

    @property
    def ended(self) -> bool:
        """Whether the run reported its end."""
        return bool(self.verdict)

    @property
    def current_stage(self) -> StageSpan | None:
        """The stage in progress, or the one in which the run failed."""
        return self.spans[-1] if self.spans and self.spans[-1].ended is None else None

    def span(self, stage: str, attempt: int) -> StageSpan | None:
        """Return the span of a stage in a trial; trials share the stages that are not repeated."""
        for span in reversed(self.spans):
            if span.stage == stage and (stage not in PER_TRIAL or span.attempt == attempt):
                return span
        return None

    def after(self, logged: Logged) -> TrainingView:
        """Return the state after an event."""
        event = logged.event
        at = self.at if logged.at is None else logged.at
        state = replace(self, at=at, progress=self.progress.after(event))
        if isinstance(event, TrialStarted):
            started = TrialState(event.attempt, event.rate, state.lessons)
            state = replace(state, trials=(*state.trials, started))
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
                return replace(state, differences=count).with_entry(StageStarted("compose", count))
            case Estimated():
                return replace(state, estimate=event).with_entry(event)
            case LessonsComposed():
                return replace(state, lessons=tuple(LessonState(*size) for size in event.lessons))
            case Trained():
                return state.with_entry(event)
            case Reported():
                event = replace(event, verdict=event.verdict or "ended")
                state = replace(state, verdict=event.verdict, sentence=event.sentence)
                return state.with_entry(event)
        return _advance_trial(state, event) if state.trials else state

    def with_entry(self, item: LogItem) -> TrainingView:
        """Return the state with another entry in the log."""
        kept = self.log if len(self.log) < MAX_ENTRIES else self.log[MAX_ENTRIES // 4 :]
        return replace(self, log=(*kept, LogEntry(self.at, item)))

    def with_trial(self, **values: Any) -> TrainingView:
        """Return the state with the current trial changed; unchanged if there is no trial."""
        if not self.trials:
            return self
        return replace(self, trials=(*self.trials[:-1], replace(self.trials[-1], **values)))


def _advance(state: TrainingView, event: Event) -> TrainingView:
    """Enter the stage of an event, or continue in it."""
    stage = _OF_PHASE.get(event.phase)
    if stage is None or (isinstance(event, Reported) and event.verdict == "failed"):
        return state  # a failed run ends in the stage that failed
    attempt = state.trials[-1].number if state.trials else 0
    count = count_in(event)
    span, at = state.current_stage, state.at
    if span is None or (span.stage, span.attempt) != (stage, attempt):
        closed = (*state.spans[:-1], replace(span, ended=at)) if span else state.spans
        span = StageSpan(stage, attempt, at, at, at)
        state = replace(state, spans=(*closed, span))
        # Composing, training and the report have entries of their own.
        if stage not in ("compose", "train") and not isinstance(event, Reported):
            rate = state.trials[-1].rate if state.trials else 0.0
            total = count[1] if count else 0
            state = state.with_entry(StageStarted(stage, total, attempt, rate))
    done, total = count or (span.done, span.total)
    since = at if done < span.done else span.since  # the gate counts again for each scale
    span = replace(span, since=since, last=at, done=done, total=total)
    if isinstance(event, Reported):
        span = replace(span, ended=at)
    return replace(state, spans=(*state.spans[:-1], span))


def _advance_trial(state: TrainingView, event: Event) -> TrainingView:
    """Apply an event to the current trial."""
    current = state.trials[-1]
    match event:
        case StepsPlanned(steps=steps):
            state = state.with_trial(
                steps=steps, planned=steps, threads=event.threads, precision=event.precision
            )
            return state.with_entry(event)
        case BatchHalved():
            return state.with_entry(event)
        case Step():
            lessons, fresh = current.with_results(event.lessons)
            state = state.with_trial(
                step=event.step,
                steps=event.steps,
                loss=current.loss.after(event.loss),
                learnt=current.learnt.after(event.learnt),
                lessons=lessons,
                speed=event.tokens_per_second,
                memory_mb=event.memory_mb,
            )
            if event.step % max(1, round(current.planned / 10)) == 0:
                state = state.with_entry(event)
            for lesson in fresh:
                state = state.with_entry(FirstRight(lesson.difference, lesson.kind))
            return state
        case Judged(reproduced=reproduced):
            lessons = current.lessons
            if len(reproduced) == len(lessons):
                lessons = tuple(
                    replace(lesson, reproduced=right)
                    for lesson, right in zip(lessons, reproduced, strict=True)
                )
            state = state.with_trial(passed=event.passed, sentence=event.sentence, lessons=lessons)
            return state.with_entry(event)
    return state


def read_state(folder: Path) -> TrainingView:
    """Return the state after the events that a run's folder has so far."""
    state = TrainingView()
    with suppress(OSError, FileError):
        for line in read_objects(folder / EVENTS):
            if (logged := read_logged(line)) is not None:
                state = state.after(logged)
    return state
