"""Which samples a step trains on: those that still need it.

Every sample remembers how it came out last: a wording of a lesson its margin (see
`objective.margins`), an anchor its divergence from the base. What was never seen, came out wrong or
moved is drawn most, what is safely right now and then. So the number of steps follows from what is
hard and not from how much there is. All draws come from one seed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from trainer.events import LessonResult
from trainer.fit.job import Sample

SAFE = 1.0
"""Margin in nats from which a wording counts as safely right."""
FIRM = 0.5
"""Margin in nats that outlasts the rounding of an adapter and other kernels than torch's."""
REVIEW, SHAKY = 0.1, 0.5
"""How often a safe and a barely right wording is drawn, beside 1 for a wrong one."""
AS_ASKED = 5.0
"""How much more often the question as it was asked is drawn than another wording of it."""
STILL = 0.01
"""Divergence in nats a token under which an anchor is drawn less."""
MOVED = 0.05
"""Divergence in nats a token from which on an anchor counts as moved."""


class Plan:
    """Draws the samples of each step; tell it with `learnt` and `held` how they came out."""

    def __init__(self, lessons: Sequence[Sample], anchors: Sequence[Sample], seed: int) -> None:
        self._order = random.Random(seed)
        self._margins: dict[Sample, float | None] = dict.fromkeys(lessons)
        self._moved: dict[Sample, float | None] = dict.fromkeys(anchors)

    def draw(self, lessons: int, anchors: int) -> tuple[list[Sample], list[Sample]]:
        """Return at most so many lesson samples and anchors, each at most once."""
        return (
            self._some({s: self._need(s, value) for s, value in self._margins.items()}, lessons),
            self._some({s: _unrest(value) for s, value in self._moved.items()}, anchors),
        )

    def _some(self, needs: dict[Sample, float], count: int) -> list[Sample]:
        # The largest keys u^(1/w) are a weighted draw without replacement (Efraimidis, Spirakis 2006).
        keys = [
            (self._order.random() ** (1 / need), number)
            for number, need in enumerate(needs.values())
        ]
        samples = list(needs)
        return [samples[number] for _, number in sorted(keys, reverse=True)[:count]]

    def _need(self, sample: Sample, margin: float | None) -> float:
        # The question as it was asked is one among many wordings and must not drown in them.
        often = AS_ASKED if sample.variant == 0 else 1.0
        if margin is None or margin <= 0:
            return often
        return often * (SHAKY if margin < SAFE else REVIEW)

    def learnt(self, samples: Sequence[Sample], margins: Sequence[float]) -> None:
        """Note the margins with which lesson samples came out."""
        self._margins.update(zip(samples, margins, strict=True))

    def held(self, samples: Sequence[Sample], divergences: Sequence[float]) -> None:
        """Note how far anchors were from the base, in nats a token."""
        self._moved.update(zip(samples, divergences, strict=True))

    @property
    def share(self) -> float:
        """Share of the lesson samples that came out right when they were last seen."""
        return self._share(list(self._margins.items()))

    @property
    def share_as_asked(self) -> float:
        """The same share of the questions as they were asked alone."""
        return self._share([(s, margin) for s, margin in self._margins.items() if s.variant == 0])

    @staticmethod
    def _share(found: Sequence[tuple[Sample, float | None]]) -> float:
        right = sum(margin is not None and margin > 0 for _, margin in found)
        return right / max(1, len(found))

    @property
    def firm(self) -> float:
        """Share of the questions as they were asked that came out right by FIRM at least."""
        seen = [margin for sample, margin in self._margins.items() if sample.variant == 0]
        return sum(value is not None and value >= FIRM for value in seen) / max(1, len(seen))

    @property
    def still(self) -> float:
        """Share of the anchors seen that are where the base has them."""
        seen = [value for value in self._moved.values() if value is not None]
        return sum(value <= MOVED for value in seen) / len(seen) if seen else 1.0

    @property
    def drift(self) -> float:
        """Mean divergence of the anchors seen, as each was last, in nats a token."""
        seen = [value for value in self._moved.values() if value is not None]
        return sum(seen) / max(1, len(seen))

    def margins(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Return the mean last margin of each difference that `samples` teach, in nats."""
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


def _unrest(divergence: float | None) -> float:
    if divergence is None:
        return 1.0
    return min(1.0, max(REVIEW, divergence / STILL))
