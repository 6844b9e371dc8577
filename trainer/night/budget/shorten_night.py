"""Reduce a night that would take too long: fewer prompts, then a shorter training. Pure.

The least informative prompts are left out first
(`trainer/lessons/anchors/choose_unchanged_prompts.py`). Prompts with a cached answer cost nothing and
stay in the training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from trainer.lessons.anchors.choose_unchanged_prompts import HeldPrompts
from trainer.lessons.lessons import CurriculumPlan

FEWEST_NEAR_TRAINED, FEWEST_TRAINED = 12, 40
"""Least near misses and unrelated prompts to train with, however short the time is."""
FEWEST_NEAR_MEASURED, FEWEST_MEASURED = 12, 24
"""The same for the gate."""
LEAST_TRAINING = 0.25
"""Least share of the expected training time with which a training is started."""

_IsKnown = Callable[[str], bool]


def cuts() -> Iterator[tuple[float, float]]:
    """Yield ever smaller shares (of the prompts, of the training time) that a night may keep.

    Half of the prompts are cut first, then some of the training, which usually ends early anyway.
    """
    for tenth in range(10, 4, -1):
        yield tenth / 10, 1.0
    for tenth in range(9, 5, -1):
        yield 0.5, tenth / 10
    for tenth in range(4, -1, -1):
        yield tenth / 10, 0.6
    for share in (0.5, 0.4, 0.3, LEAST_TRAINING):
        yield 0.0, share


def reduced(plan: CurriculumPlan, known: _IsKnown, share: float) -> CurriculumPlan:
    """Return the plan with this share of its prompts, but at least the minimum of each group."""
    if share >= 1:
        return plan
    held = plan.held
    lessons = len(plan.differences)
    return replace(
        plan,
        held=HeldPrompts(
            near_trained=_kept(
                held.near_trained, share, max(FEWEST_NEAR_TRAINED, 2 * lessons), known
            ),
            trained=_kept(held.trained, share, FEWEST_TRAINED, known),
            near_measured=_first(held.near_measured, share, FEWEST_NEAR_MEASURED),
            measured=_first(held.measured, share, FEWEST_MEASURED),
        ),
    )


def _first(texts: Sequence[str], share: float, fewest: int) -> tuple[str, ...]:
    """Return the front of `texts`, the most informative ones."""
    return tuple(texts[: _size(texts, share, fewest)])


def _kept(texts: Sequence[str], share: float, fewest: int, known: _IsKnown) -> tuple[str, ...]:
    """Return the front of `texts`, and those of the rest that are cached."""
    size = _size(texts, share, fewest)
    return tuple(text for rank, text in enumerate(texts) if rank < size or known(text))


def _size(texts: Sequence[str], share: float, fewest: int) -> int:
    least = min(fewest, len(texts))
    return least + round(share * (len(texts) - least))
