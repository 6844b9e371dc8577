"""The next trial depends on the reason of the rejection, and none is repeated."""

from __future__ import annotations

import pytest

from memory.settings.paths import Home
from memory.settings.settings import TrainingSettings
from tests.support.values import quick_settings
from trainer.night.request import Practice
from trainer.night.trials.next_trial import FAILED, TrialPlan, Tried, first_plans, next_plan

FIRST = TrialPlan(1, 6e-3, 1, 100)


@pytest.fixture
def training(home: Home) -> TrainingSettings:
    return quick_settings(home, training={"learning_rates": [6e-3, 3e-3]}).training


def after(
    training: TrainingSettings, *failed: str, plan: TrialPlan = FIRST, ended: str = "learnt"
) -> TrialPlan:
    tried = Tried(plan, frozenset(failed), ended, frozenset({"Who wrote Emma?"}))
    found = next_plan([tried], tried, training)
    assert found is not None
    return found


def test_spillover_trains_changed_near_misses_and_more_of_them(
    training: TrainingSettings,
) -> None:
    for name in ("spread", "near_misses", "harmed", "endless"):
        found = after(training, name)
        assert found.hard == {"Who wrote Emma?"}
        assert found.near > 1
        assert (found.rate, found.anchors, found.number) == (FIRST.rate, 1.0, 2)


def test_drift_first_raises_the_anchor_weight_and_then_lowers_the_learning_rate(
    training: TrainingSettings,
) -> None:
    first = Tried(FIRST, frozenset({"anchors", "kl"}))
    second = next_plan([first], first, training)
    assert second is not None
    assert (second.rate, second.anchors) == (FIRST.rate, 2.0)
    third = next_plan([first, Tried(second, frozenset({"kl"}))], first, training)
    assert third is not None
    assert (third.rate, third.anchors) == (3e-3, 1.0)


def test_unlearned_lessons_get_more_steps_or_a_higher_learning_rate(
    training: TrainingSettings,
) -> None:
    assert after(training, "lessons", ended="steps").longer == 2
    assert after(training, "rephrasings").rate == 1.2e-2
    assert after(training, "lessons", plan=TrialPlan(1, 3e-3, 1, 100)).rate == 6e-3


def test_unlearned_lessons_with_drift_get_a_lower_learning_rate(training: TrainingSettings) -> None:
    assert after(training, "lessons", "kl").rate == 3e-3


def test_broken_replies_and_a_failed_training_get_a_lower_learning_rate(
    training: TrainingSettings,
) -> None:
    assert after(training, "sound").rate == 3e-3
    assert after(training, FAILED).rate == 3e-3


def test_a_difference_that_spills_over_again_is_left_out(training: TrainingSettings) -> None:
    first = Tried(FIRST, frozenset({"spread"}), "learnt", frozenset({"Who?"}))
    second = next_plan([first], first, training)
    assert second is not None
    again = Tried(second, frozenset({"spread"}), "learnt", frozenset(), frozenset({"d" * 16}))
    third = next_plan([first, again], again, training)
    assert third is not None
    assert third.without == {"d" * 16}
    assert third.hard == {"Who?"}


def test_questions_that_changed_in_any_trial_are_trained_in_the_next(
    training: TrainingSettings,
) -> None:
    first = Tried(FIRST, frozenset({"spread"}), "learnt", frozenset({"Who?"}))
    second = next_plan([first], first, training)
    assert second is not None
    again = Tried(second, frozenset({"spread"}), "learnt", frozenset({"Where?"}))
    for best in (first, again):
        third = next_plan([first, again], best, training)
        assert third is not None
        assert third.hard == {"Who?", "Where?"}


@pytest.mark.parametrize("failed", ["spread", "kl", "lessons", "endless", FAILED])
def test_no_trial_is_repeated_and_their_number_is_limited(
    training: TrainingSettings, failed: str
) -> None:
    tried = [Tried(FIRST, frozenset({failed}))]
    while (plan := next_plan(tried, tried[0], training)) is not None:
        assert not any(plan.same_as(one.plan) for one in tried)
        assert plan.number == len(tried) + 1
        assert str(plan.change)
        tried.append(Tried(plan, frozenset({failed})))
        assert len(tried) < 12
    assert len(tried) >= 2


def test_a_night_starts_with_the_first_learning_rate_and_practice_cycles_through_them(
    home: Home,
) -> None:
    settings = quick_settings(home, training={"learning_rates": [6e-3, 3e-3]})
    assert [plan.rate for plan in first_plans(settings, None)] == [6e-3]
    rates = [plan.rate for plan in first_plans(settings, Practice(episodes=3, steps=5))]
    assert rates == [6e-3, 3e-3, 6e-3]
