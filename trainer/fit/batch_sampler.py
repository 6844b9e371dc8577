"""Choose the samples of each training step, preferring those that still need training.

The sampler records the last result of each sample: the margin of a lesson's wording (see
`loss.margins`), the divergence of an anchor from the base. Samples that are new, wrong or changed
are drawn most often, those that are safely right occasionally, so the number of steps depends on how
much is hard, not on how much there is. All draws come from one seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Standing:
    """What some samples show of the state of a training, by their latest results.

    `learned` is the share of right lesson samples, `learned_as_asked` that of right questions as they
    were asked, `firm` that of such questions with a margin of at least FIRM, `still` that of unchanged
    anchors, and `drift` the anchors' mean divergence in nats per token.
    """

    learned: float
    learned_as_asked: float
    firm: float
    still: float
    drift: float

    @property
    def settled(self) -> bool:
        """Whether enough is learned and unchanged."""
        learned = self.learned >= ENOUGH and self.learned_as_asked >= ALL_ASKED
        return learned and self.still >= STILL_ENOUGH

    @property
    def score(self) -> tuple[float, float]:
        """How good the state is: what is learned and unchanged, then −drift."""
        learned = (self.learned + self.learned_as_asked + self.firm) / 3
        return round(learned, 2) + round(self.still, 2), -self.drift


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

    def panel(self, count: int, seed: int) -> list[Sample]:
        """Return the questions as they were asked, and others at random up to `count` in total."""
        asked = [sample for sample in self._margins if sample.variant == 0]
        others = [sample for sample in (*self._margins, *self._moved) if sample not in set(asked)]
        more = min(len(others), max(0, count - len(asked)))
        return [*asked, *random.Random(seed).sample(others, more)]

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
        return _share_from(list(self._margins.values()))

    @property
    def still(self) -> float:
        """Share of the anchors seen that are unchanged."""
        return _still(list(self._moved.values()))

    def standing(self, samples: Sequence[Sample]) -> Standing:
        """Return what `samples` show."""
        asked = [self._margins[s] for s in samples if s.variant == 0 and s in self._margins]
        moved = [self._moved[s] for s in samples if s in self._moved]
        seen = [value for value in moved if value is not None]
        return Standing(
            learned=_share_from([self._margins[s] for s in samples if s in self._margins]),
            learned_as_asked=_share_from(asked),
            firm=_share_from(asked, FIRM),
            still=_still(moved),
            drift=sum(seen) / max(1, len(seen)),
        )

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


def _share_from(margins: Sequence[float | None], least: float = 0.0) -> float:
    """Return the share of margins above 0 and of at least `least`; a missing one is not."""
    right = sum(value is not None and value > 0 and value >= least for value in margins)
    return right / max(1, len(margins))


def _still(divergences: Sequence[float | None]) -> float:
    seen = [value for value in divergences if value is not None]
    return sum(value <= MOVED for value in seen) / len(seen) if seen else 1.0


def _anchor_weight(divergence: float | None) -> float:
    if divergence is None:
        return 1.0
    return min(1.0, max(REVIEW, divergence / MOVED))
