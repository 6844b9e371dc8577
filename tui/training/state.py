"""A training as the Training screen shows it: one frozen value, folded from its run's events.

The events are a file in the run's folder (`trainer/night/run.py`), so whoever comes late has
everything since the beginning. They may have been written by another version or on another machine:
what an event lacks stays as it was, and what is not a number where one belongs is passed over. The
lessons are known by their differences' ids; their words stay in the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tui.training.progress import Progress
from tui.training.tries import LessonState, Try, number, whole

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
class Span:
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
class Entry:
    """Something worth a line in the log, as `tui/training/log_text.py` says it."""

    at: float
    what: str
    values: Mapping[str, Any] = field(default_factory=dict)


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
    spans: tuple[Span, ...] = ()
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
    def now(self) -> Span | None:
        """The stage under way, or the one in which it broke off."""
        return self.spans[-1] if self.spans and self.spans[-1].ended is None else None

    def span(self, stage: str, attempt: int) -> Span | None:
        """Return a stage as a try went through it; the tries share those that are gone through once."""
        for span in reversed(self.spans):
            if span.stage == stage and (stage not in AGAIN or span.attempt == attempt):
                return span
        return None

    def after(self, event: Mapping[str, Any]) -> TrainingState:
        """Return the state once `event` has happened."""
        at = number(event.get("at"), self.at)
        phase = str(event.get("phase", ""))
        state = replace(self, at=at, progress=self.progress.after(event))
        if phase == "load" and (attempt := whole(event.get("attempt"))):
            rate = number(event.get("rate"))
            state = replace(state, tries=(*state.tries, Try(attempt, rate, state.lessons)))
        state = _moved(state, phase, event)
        heard = _HEARD.get(phase)
        return heard(state, event) if heard else state

    def noting(self, what: str, **values: Any) -> TrainingState:
        """Return the state with one entry more in the log."""
        kept = self.log if len(self.log) < LOGGED else self.log[LOGGED // 4 :]
        return replace(self, log=(*kept, Entry(self.at, what, values)))

    def trying(self, **values: Any) -> TrainingState:
        """Return the state with the last try changed; without a try there is nothing to change."""
        if not self.tries:
            return self
        return replace(self, tries=(*self.tries[:-1], replace(self.tries[-1], **values)))


def _moved(state: TrainingState, phase: str, event: Mapping[str, Any]) -> TrainingState:
    """Enter the stage of a phase, or go on in it."""
    stage = _OF_PHASE.get(phase)
    if stage is None or event.get("verdict") == "failed":  # it broke off where it is
        return state
    attempt = state.tries[-1].number if state.tries else 0
    span, at = state.now, state.at
    if span is None or (span.stage, span.attempt) != (stage, attempt):
        closed = (*state.spans[:-1], replace(span, ended=at)) if span else state.spans
        span = Span(stage, attempt, at, at, at)
        state = replace(state, spans=(*closed, span))
        if stage not in ("compose", "train") and phase != "report":  # these say more themselves
            rate = state.tries[-1].rate if state.tries else 0.0
            state = state.noting(stage, total=whole(event.get("total")), attempt=attempt, rate=rate)
    done = whole(event.get("step", event.get("done")), span.done)
    total = span.total if phase == "trained" else whole(event.get("total"), span.total)
    total = total if phase == "trained" else whole(event.get("steps"), total)
    since = at if done < span.done else span.since  # the gate counts anew with each scale
    span = replace(span, since=since, last=at, done=done, total=total)
    if phase == "report":
        span = replace(span, ended=at)
    return replace(state, spans=(*state.spans[:-1], span))


def _start(state: TrainingState, event: Mapping[str, Any]) -> TrainingState:
    began: datetime | None = None
    with suppress(ValueError):
        began = datetime.fromisoformat(str(event.get("began")))
    return replace(
        state,
        began=began,
        pid=whole(event.get("pid")),
        model=str(event.get("model", "")),
        planned=max(1, whole(event.get("tries"), 1)),
        practice=bool(event.get("practice")),
    )


def _compose(state: TrainingState, event: Mapping[str, Any]) -> TrainingState:
    differences = whole(event.get("differences"), state.differences)
    return replace(state, differences=differences).noting("compose", total=differences)


def _beside(state: TrainingState, event: Mapping[str, Any]) -> TrainingState:
    taught = event.get("lessons")
    if not isinstance(taught, Sequence):
        return state
    lessons = tuple(
        LessonState(str(one[0]), str(one[1]), whole(one[2], 1))
        for one in taught
        if isinstance(one, Sequence) and len(one) >= 3
    )
    return replace(state, lessons=lessons)


def _train(state: TrainingState, event: Mapping[str, Any]) -> TrainingState:
    if not state.tries:
        return state
    at = state.tries[-1]
    step, steps = whole(event.get("step"), at.step), whole(event.get("steps"), at.steps)
    if event.get("step") == 0:
        threads, precision = whole(event.get("threads")), str(event.get("precision", ""))
        state = state.trying(steps=steps, planned=steps, threads=threads, precision=precision)
        return state.noting("steps", steps=steps, threads=threads, precision=precision)
    if "halved" in event:
        return state.noting("halved")
    if "loss" not in event:
        return state
    loss, learnt = number(event["loss"]), number(event.get("learnt"))
    lessons, fresh = at.touched(event.get("lessons"))
    state = state.trying(
        step=step,
        steps=steps,
        loss=at.loss.after(loss),
        learnt=at.learnt.after(learnt),
        lessons=lessons,
        speed=number(event.get("tokens_per_second"), at.speed),
        memory_mb=number(event.get("memory_mb"), at.memory_mb),
    )
    if step % max(1, round(at.planned / 10)) == 0:
        state = state.noting("step", step=step, steps=steps, loss=loss, learnt=learnt)
    for lesson in fresh:
        state = state.noting("right", difference=lesson.difference, kind=lesson.kind)
    return state


def _trained(state: TrainingState, event: Mapping[str, Any]) -> TrainingState:
    reason, learnt = str(event.get("reason", "")), number(event.get("learnt"))
    return state.noting("trained", reason=reason, learnt=learnt, step=whole(event.get("steps")))


def _gate(state: TrainingState, event: Mapping[str, Any]) -> TrainingState:
    if "passed" not in event or not state.tries:
        return state
    lessons, said = state.tries[-1].lessons, event.get("reproduced")
    if isinstance(said, Sequence) and len(said) == len(lessons):
        lessons = tuple(
            replace(lesson, said=bool(one)) for lesson, one in zip(lessons, said, strict=True)
        )
    passed, sentence = bool(event["passed"]), str(event.get("sentence", ""))
    state = state.trying(passed=passed, sentence=sentence, lessons=lessons)
    return state.noting("verdict", passed=passed, sentence=sentence)


def _report(state: TrainingState, event: Mapping[str, Any]) -> TrainingState:
    verdict, sentence = str(event.get("verdict") or "ended"), str(event.get("sentence", ""))
    return replace(state, verdict=verdict, sentence=sentence).noting(
        "report", verdict=verdict, sentence=sentence
    )


_HEARD = {
    "start": _start,
    "compose": _compose,
    "beside": _beside,
    "train": _train,
    "trained": _trained,
    "gate": _gate,
    "report": _report,
}
