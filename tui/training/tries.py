"""The tries of a training as they are shown: their curves, and how each lesson stands in them.

Values only; `tui/training/state.py` folds them from events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from trainer.events import LessonResult

MOST = 400
"""Points that a curve keeps."""


@dataclass(frozen=True, slots=True)
class Course:
    """A curve of any length in few points: where they become too many, two are made one, their mean."""

    values: tuple[float, ...] = ()
    each: int = 1
    rest: tuple[float, ...] = ()
    """What came since the last whole point."""

    def after(self, value: float) -> Course:
        """Return the curve with one value more."""
        rest = (*self.rest, value)
        if len(rest) < self.each:
            return replace(self, rest=rest)
        values = (*self.values, sum(rest) / len(rest))
        if len(values) < MOST:
            return replace(self, values=values, rest=())
        halved = tuple((a + b) / 2 for a, b in zip(values[::2], values[1::2], strict=True))
        return Course(halved, 2 * self.each)

    @property
    def points(self) -> tuple[float, ...]:
        """The curve, the point that is not whole yet with it."""
        return (*self.values, sum(self.rest) / len(self.rest)) if self.rest else self.values


@dataclass(frozen=True, slots=True)
class LessonState:
    """How one lesson stands in one try.

    `margin` is how far the expected reply is ahead, in nats, where the question is asked as it was
    marked; above 0 it is said. `right` of its `wordings` come out right. `said` is what the gate found
    with the very file that will serve.
    """

    difference: str
    kind: str
    wordings: int
    margin: float | None = None
    right: int = 0
    course: Course = Course()
    said: bool | None = None
    known: bool = False
    """Whether it was right once."""

    @property
    def good(self) -> bool:
        """Whether the reply is said as it should be, by the last that is known."""
        return self.said if self.said is not None else self.margin is not None and self.margin > 0

    @property
    def share(self) -> float:
        """The share of its wordings that come out right."""
        return self.right / max(1, self.wordings)

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Orders lessons, the worst first."""
        return self.good, self.share, self.margin if self.margin is not None else float("-inf")


@dataclass(frozen=True, slots=True)
class Try:
    """One try: a learning rate, how it went, and what the gate said of it."""

    number: int
    rate: float = 0.0
    lessons: tuple[LessonState, ...] = ()
    loss: Course = Course()
    learnt: Course = Course()
    step: int = 0
    steps: int = 0
    planned: int = 0
    """The steps as they were planned before the lessons came out right."""
    threads: int = 0
    precision: str = ""
    speed: float = 0.0
    memory_mb: float = 0.0
    passed: bool | None = None
    sentence: str = ""

    @property
    def good(self) -> int:
        """How many of its lessons are said as they should be."""
        return sum(lesson.good for lesson in self.lessons)

    def with_results(
        self, results: Mapping[int, LessonResult]
    ) -> tuple[tuple[LessonState, ...], list[LessonState]]:
        """Return the lessons with new results, and those that are right for the first time."""
        changed, fresh = list(self.lessons), []
        for number, result in results.items():
            if number >= len(changed):
                continue
            old = changed[number]
            new = replace(old, margin=result.margin, right=result.right)
            if new.good and not old.known:
                fresh.append(new)
            changed[number] = replace(
                new, known=old.known or new.good, course=old.course.after(new.share)
            )
        return tuple(changed), fresh
