"""The number of training steps, the samples per step, and the learning rate schedule. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.fit.job import Recipe, Sample

STEP_SAMPLES = 11
"""Samples per step. Small steps learn more from the same number of tokens (*measured* on the starter:
1.00 of ten marks in 100 steps of 6 + 4 samples, .80 in 40 steps of 16 + 12)."""
LEAST_HELD, MOST_HELD = 0.35, 0.75
"""Least and most share of anchors in a step."""
MORE_ANCHORS, MOST_ANCHORS = 100, 3
"""Number of lessons per extra anchor in a step, and most extra ones; more lessons change more."""
STEP_LESSONS, FEWEST_LESSONS = 6, 10
"""Assumed lesson samples per step, and the least number of lessons, for the number of steps."""
RESTART_RATE = 0.4
"""Share of the learning rate at which another round starts."""
WARM_UP = 5
"""Steps over which the learning rate rises; it then decays linearly to zero."""


def step_size(lessons: Sequence[Sample], learnt: float, still: float) -> tuple[int, int]:
    """Return the numbers of lesson samples and anchors per step.

    Whichever needs more training gets the larger share: `learnt` is the share of right lesson samples,
    `still` that of unchanged anchors.
    """
    wrong, moved = 1 - learnt, 1 - still
    share = moved / (wrong + moved) if wrong + moved else LEAST_HELD
    held = round(STEP_SAMPLES * min(MOST_HELD, max(LEAST_HELD, share)))
    return STEP_SAMPLES - held, held + min(MOST_ANCHORS, _count(lessons) // MORE_ANCHORS)


def steps_for(recipe: Recipe, lessons: Sequence[Sample]) -> int:
    """Return the number of steps that show each lesson `recipe.visits` times."""
    shown = recipe.visits * max(FEWEST_LESSONS, _count(lessons))
    return min(recipe.max_steps, max(1, round(shown / STEP_LESSONS)))


def _count(samples: Sequence[Sample]) -> int:
    return len({sample.lesson for sample in samples})


class Schedule:
    """The learning rate of each step as a share of its maximum: linear warm-up, linear decay."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.shortened = False
        self._taken = 0
        self._top, self._from = 1.0, 0

    def state(self) -> dict[str, Any]:
        """Return the state of the schedule as JSON values."""
        return dict(vars(self))

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state`."""
        vars(self).update(state)

    @property
    def over(self) -> bool:
        """Whether all steps were taken."""
        return self._taken >= self.steps

    def take(self) -> float:
        """Take a step; return its share of the maximum learning rate, in (0, 1]."""
        self._taken += 1
        return self._decayed() * min(1.0, self._taken / WARM_UP)

    def _decayed(self) -> float:
        left = self.steps - self._taken + 1
        return self._top * left / (self.steps - self._from)

    def shorten(self, steps: int) -> None:
        """Decay from the current value to zero within `steps`, if that is sooner."""
        if not self.shortened and self._taken + steps < self.steps:
            self._top, self._from = self._decayed(), self._taken
            self.steps, self.shortened = self._taken + steps, True

    def restart(self, steps: int, most: int) -> bool:
        """Rise to RESTART_RATE and decay to zero within `steps`.

        Return False if `most` steps were taken.
        """
        self.steps = min(most, self._taken + steps)
        self._top, self._from = RESTART_RATE, self._taken
        return not self.over
