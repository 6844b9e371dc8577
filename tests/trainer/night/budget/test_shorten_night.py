"""A short budget: the least informative prompts are cut first, cached ones are kept."""

from __future__ import annotations

import itertools

from tests.support.values import difference
from trainer.lessons.anchors.choose_unchanged_prompts import HeldPrompts
from trainer.lessons.lessons import Conversations, CurriculumPlan
from trainer.night.budget.shorten_night import (
    FEWEST_MEASURED,
    FEWEST_NEAR_MEASURED,
    FEWEST_NEAR_TRAINED,
    FEWEST_TRAINED,
    LEAST_TRAINING,
    cuts,
    reduced,
)


def plan() -> CurriculumPlan:
    def some(name: str, count: int) -> tuple[str, ...]:
        return tuple(f"{name} {number}" for number in range(count))

    held = HeldPrompts(some("near", 100), some("other", 200), some("asked", 40), some("far", 48))
    return CurriculumPlan((), held, {}, {}, (difference("Who?", "Lutz."),), Conversations())


def test_the_budget_cuts_prompts_first_and_then_training() -> None:
    every = list(cuts())
    assert every[0] == (1.0, 1.0)
    assert every[-1] == (0.0, LEAST_TRAINING)
    assert all(a >= b for a, b in itertools.pairwise(every))
    assert [training for share, training in every if share > 0.5] == [1.0] * 5


def test_the_front_of_each_group_stays_and_its_minimum_is_kept() -> None:
    whole = plan()
    assert reduced(whole, lambda text: False, 1.0) is whole
    half = reduced(whole, lambda text: False, 0.5).held
    assert half.trained == whole.held.trained[:120]
    assert half.near_trained == whole.held.near_trained[:56]
    least = reduced(whole, lambda text: False, 0.0).held
    assert [len(group) for group in least.groups] == [
        FEWEST_NEAR_TRAINED, FEWEST_TRAINED, FEWEST_NEAR_MEASURED, FEWEST_MEASURED,
    ]  # fmt: skip


def test_cached_answers_are_used_for_training_but_not_for_more_measuring() -> None:
    known = {"other 150", "near 99", "asked 39"}
    held = reduced(plan(), known.__contains__, 0.0).held
    assert "other 150" in held.trained
    assert "near 99" in held.near_trained
    assert "asked 39" not in held.near_measured
