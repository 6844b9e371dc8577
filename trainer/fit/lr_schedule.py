"""How long a training goes, how many samples a step holds, and how its learning rate goes. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from trainer.fit.job import Recipe, Sample

LESSONS_A_STEP, ANCHORS_A_STEP = 6, 5
"""Samples of a step. Small steps learn more from as many tokens (*measured* on the starter, ten marks:
1.00 of them in 100 steps of 6 + 4, .80 in 40 steps of 16 + 12)."""
MORE_ANCHORS, MOST_ANCHORS = 100, 8
"""For so many lessons a step holds one anchor more, at most so many: more that is taught moves more."""
VISITS = 120
"""Times that a lesson is shown in one wording or another; with the two above, the number of steps."""
FEWEST_STEPS = 200
TOP_AGAIN = 0.4
"""Share of the rate at which a further round begins."""
WARM_UP = 5
"""Steps over which the learning rate rises. Then it falls to nothing in a line."""


def step_size(lessons: Sequence[Sample]) -> tuple[int, int]:
    """Return how many lesson samples and how many anchors a step holds."""
    more = _count(lessons) // MORE_ANCHORS
    return LESSONS_A_STEP, min(MOST_ANCHORS, ANCHORS_A_STEP + more)


def settling_size(lessons: Sequence[Sample]) -> tuple[int, int]:
    """Return the same for the steps in which the rate falls after everything was learnt."""
    mine, held = step_size(lessons)
    return max(1, mine // 2), 2 * held


def steps_for(recipe: Recipe, lessons: Sequence[Sample]) -> int:
    """Return how many steps show each lesson VISITS times."""
    wanted = max(FEWEST_STEPS, round(VISITS * _count(lessons) / LESSONS_A_STEP))
    return min(recipe.max_steps, wanted)


def _count(samples: Sequence[Sample]) -> int:
    return len({sample.lesson for sample in samples})


class Schedule:
    """How large the learning rate is at each step, as a share of the whole: up, then down in a line."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.shortened = False
        self._taken = 0
        self._top, self._from = 1.0, 0

    @property
    def over(self) -> bool:
        """Whether all steps were taken."""
        return self._taken >= self.steps

    def take(self) -> float:
        """Return the share of the next step, in (0, 1]."""
        self._taken += 1
        return self._line() * min(1.0, self._taken / WARM_UP)

    def _line(self) -> float:
        left = self.steps - self._taken + 1
        return self._top * left / (self.steps - self._from)

    def shorten(self, steps: int) -> None:
        """Fall to nothing within so many steps from where the line is now, if that is sooner."""
        if not self.shortened and self._taken + steps < self.steps:
            self._top, self._from = self._line(), self._taken
            self.steps, self.shortened = self._taken + steps, True

    def again(self, steps: int, most: int) -> bool:
        """Rise to TOP_AGAIN and fall to nothing once more within `steps`; False where `most` steps in
        all leave none."""
        self.steps = min(most, self._taken + steps)
        self._top, self._from = TOP_AGAIN, self._taken
        return not self.over
