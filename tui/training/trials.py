"""Trials of a training as the Training screen shows them: curves and the results of each lesson.

Immutable values; `tui/training/state.py` computes them from events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from memory.sentence import NOTHING, Sentence
from trainer.events import LessonResult

MAX_POINTS = 400
"""Maximum number of points of a curve."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve of any number of values in a bounded number of points, each the mean of `each` values."""

    values: tuple[float, ...] = ()
    each: int = 1
    rest: tuple[float, ...] = ()
    """Values since the last complete point."""

    def after(self, value: float) -> Curve:
        """Return the curve with another value; merges points in pairs when there are too many."""
        rest = (*self.rest, value)
        if len(rest) < self.each:
            return replace(self, rest=rest)
        values = (*self.values, sum(rest) / len(rest))
        if len(values) < MAX_POINTS:
            return replace(self, values=values, rest=())
        halved = tuple((a + b) / 2 for a, b in zip(values[::2], values[1::2], strict=True))
        return Curve(halved, 2 * self.each)

    @property
    def points(self) -> tuple[float, ...]:
        """The points, including the incomplete one."""
        return (*self.values, sum(self.rest) / len(self.rest)) if self.rest else self.values


@dataclass(frozen=True, slots=True)
class LessonState:
    """Results of one lesson in one trial.

    `margin` is the lead of the expected reply to the marked question, in nats; above 0 the model gives
    it. `right` of its `wordings` are answered correctly. `reproduced` is the gate's result with the
    exported file; None before the gate.
    """

    difference: str
    kind: str
    wordings: int
    margin: float | None = None
    right: int = 0
    curve: Curve = Curve()
    reproduced: bool | None = None
    was_right: bool = False
    """Whether it has been right at any step."""

    @property
    def good(self) -> bool:
        """Whether the model gives the expected reply, by the latest result."""
        if self.reproduced is not None:
            return self.reproduced
        return self.margin is not None and self.margin > 0

    @property
    def share(self) -> float:
        """The share of its wordings that are answered correctly."""
        return self.right / max(1, self.wordings)

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Sort key, worst lesson first."""
        return self.good, self.share, self.margin if self.margin is not None else float("-inf")


@dataclass(frozen=True, slots=True)
class TrialState:
    """One trial: its learning rate, curves and the gate's verdict."""

    number: int
    rate: float = 0.0
    lessons: tuple[LessonState, ...] = ()
    loss: Curve = Curve()
    learnt: Curve = Curve()
    step: int = 0
    steps: int = 0
    planned: int = 0
    """Steps planned at the start; training may end earlier."""
    threads: int = 0
    precision: str = ""
    speed: float = 0.0
    memory_mb: float = 0.0
    passed: bool | None = None
    sentence: Sentence = NOTHING

    @property
    def good(self) -> int:
        """Number of lessons with the expected reply."""
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
            if new.good and not old.was_right:
                fresh.append(new)
            changed[number] = replace(
                new, was_right=old.was_right or new.good, curve=old.curve.after(new.share)
            )
        return tuple(changed), fresh
