"""Choose the samples of each training step, preferring those that still need training.

The sampler records the last result of each sample: the margin of a lesson's wording (see
`objective.margins`), the divergence of an anchor from the base. Samples that are new, wrong or changed
are drawn most often, those that are safely right occasionally, so the number of steps depends on how
much is hard, not on how much there is. All draws come from one seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.events import LessonResult
from trainer.fit.job import Sample

SAFE = 1.0
"""Margin in nats from which a wording is safely right."""
FIRM = 0.5
"""Margin in nats that survives the rounding of an adapter and the kernels of llama.cpp."""
REVIEW, SHAKY = 0.1, 0.5
"""Weights of a safely right and of a barely right wording; a wrong one has 1."""
AS_ASKED = 5.0
"""Weight of the question as it was asked, relative to another wording."""
RECENT = 0.04
"""Weight of the latest sample in `Sampler.recent`."""
USUAL = 40
"""Tokens of a sample whose weight is not scaled; longer ones are drawn less often."""
MOVED = 0.05
"""Divergence in nats per token above which an anchor counts as changed; below, it is drawn less."""


ENOUGH, ALL_ASKED, STILL_ENOUGH = 0.95, 0.98, 0.99
"""Shares of right lesson samples, of right questions as they were asked and of unchanged anchors from
which a training is settled."""


class Sampler:
    """Draws the samples of each step; record their results with the `record_…` methods."""

    def __init__(self, lessons: Sequence[Sample], anchors: Sequence[Sample], seed: int) -> None:
        self._order = random.Random(seed)
        self.recent = 0.0
        """Share of right lesson samples in the latest steps, before they were trained again."""
        self._margins: dict[Sample, float | None] = dict.fromkeys(lessons)
        self._moved: dict[Sample, float | None] = dict.fromkeys(anchors)

    def state(self) -> dict[str, Any]:
        """Return everything that was recorded, and the state of the draws, as JSON values."""
        return {
            "margins": list(self._margins.values()),
            "moved": list(self._moved.values()),
            "recent": self.recent,
            "order": self._order.getstate(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state` of a sampler with the same samples."""
        self._margins = dict(zip(self._margins, state["margins"], strict=True))
        self._moved = dict(zip(self._moved, state["moved"], strict=True))
        self.recent = state["recent"]
        version, words, gauss = state["order"]
        self._order.setstate((version, tuple(words), gauss))

    def draw(self, lessons: int, anchors: int) -> tuple[list[Sample], list[Sample]]:
        """Draw at most this many lesson samples and anchors, each at most once."""
        return (
            self._weighted_draw(
                {s: self._lesson_weight(s, value) for s, value in self._margins.items()}, lessons
            ),
            self._weighted_draw(
                {s: s.weight * _anchor_weight(value) for s, value in self._moved.items()}, anchors
            ),
        )

    def random_samples(self, count: int) -> list[Sample]:
        """Return the questions as they were asked, and others at random up to `count` in total."""
        every = [*self._margins, *self._moved]
        asked = [sample for sample in self._margins if sample.variant == 0]
        others = [sample for sample in every if sample.variant != 0 or sample in self._moved]
        more = min(len(others), max(0, count - len(asked)))
        return [*asked, *self._order.sample(others, more)]

    def _weighted_draw(self, weights: dict[Sample, float], count: int) -> list[Sample]:
        # The largest keys u^(1/w) are a weighted draw without replacement (Efraimidis, Spirakis 2006).
        keys = [
            (self._order.random() ** (1 / weight), number)
            for number, weight in enumerate(weights.values())
        ]
        samples = list(weights)
        return [samples[number] for _, number in sorted(keys, reverse=True)[:count]]

    def _lesson_weight(self, sample: Sample, margin: float | None) -> float:
        # The original question would otherwise count no more than any of its many rephrasings.
        often = AS_ASKED if sample.variant == 0 else 1.0
        # A long sample costs more, and teaches mostly what the short ones do.
        often *= math.sqrt(USUAL / len(sample.tokens))
        if margin is None or margin <= 0:
            return often
        return often * (SHAKY if margin < SAFE else REVIEW)

    def note_step(self, margins: Sequence[float]) -> None:
        """Update `recent` with the margins of the samples of a step, as they were before it."""
        for value in margins:
            self.recent += RECENT * ((value > 0) - self.recent)

    def record_margins(self, samples: Sequence[Sample], margins: Sequence[float]) -> None:
        """Record the margins of lesson samples."""
        self._margins.update(zip(samples, margins, strict=True))

    def record_divergences(self, samples: Sequence[Sample], divergences: Sequence[float]) -> None:
        """Record the divergences of anchors from the base, in nats per token."""
        self._moved.update(zip(samples, divergences, strict=True))

    @property
    def share(self) -> float:
        """Share of the lesson samples that were right when last seen."""
        return self._share(list(self._margins.items()))

    @property
    def share_as_asked(self) -> float:
        """The same share for the questions as they were asked."""
        return self._share([(s, margin) for s, margin in self._margins.items() if s.variant == 0])

    @staticmethod
    def _share(found: Sequence[tuple[Sample, float | None]]) -> float:
        right = sum(margin is not None and margin > 0 for _, margin in found)
        return right / max(1, len(found))

    def settled(self, samples: Sequence[Sample]) -> bool:
        """Whether enough of `samples` are learned and unchanged, by their latest results."""
        lessons = [(s, self._margins[s]) for s in samples if s in self._margins]
        asked = [(sample, margin) for sample, margin in lessons if sample.variant == 0]
        learned = self._share(lessons) >= ENOUGH and self._share(asked) >= ALL_ASKED
        moved = [self._moved[s] for s in samples if s in self._moved]
        return learned and _still(moved) >= STILL_ENOUGH

    @property
    def firm(self) -> float:
        """Share of the questions as they were asked with a margin of at least FIRM."""
        seen = [margin for sample, margin in self._margins.items() if sample.variant == 0]
        return sum(value is not None and value >= FIRM for value in seen) / max(1, len(seen))

    @property
    def still(self) -> float:
        """Share of the anchors seen that are unchanged."""
        return _still(list(self._moved.values()))

    @property
    def drift(self) -> float:
        """Mean of the last divergences of the anchors seen, in nats per token."""
        seen = [value for value in self._moved.values() if value is not None]
        return sum(seen) / max(1, len(seen))

    def margins(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Return the mean of the last margins of each difference that `samples` teach, in nats."""
        wanted = {sample.difference for sample in samples}
        found: dict[str, list[float]] = {}
        for sample, margin in self._margins.items():
            if sample.difference in wanted and margin is not None:
                found.setdefault(sample.difference, []).append(margin)
        return {name: round(sum(some) / len(some), 2) for name, some in found.items()}

    def lessons(self, samples: Sequence[Sample]) -> dict[int, LessonResult]:
        """Return the latest result of each lesson that `samples` teach, by its number."""
        wanted = {sample.lesson for sample in samples}
        found: dict[int, LessonResult] = {}
        for sample, margin in self._margins.items():
            if sample.lesson not in wanted:
                continue
            asked, right, seen = found.get(sample.lesson, (None, 0, 0))
            if margin is not None:
                right, seen = right + (margin > 0), seen + 1
                if sample.variant == 0:
                    asked = round(margin, 2)
            found[sample.lesson] = LessonResult(asked, right, seen)
        return found


def _still(divergences: Sequence[float | None]) -> float:
    seen = [value for value in divergences if value is not None]
    return sum(value <= MOVED for value in seen) / len(seen) if seen else 1.0


def _anchor_weight(divergence: float | None) -> float:
    if divergence is None:
        return 1.0
    return min(1.0, max(REVIEW, divergence / MOVED))
