"""The hyperparameters of a run from the settings, and its learning rate schedule."""

from __future__ import annotations

import pytest

from memory.settings.paths import Home
from memory.settings.settings import read_settings
from trainer.fit.hyperparameters import LAYERS, Overrides, recipe_of
from trainer.fit.job import Sample
from trainer.fit.lr_schedule import (
    RESTART_RATE,
    STEP_SAMPLES,
    WARM_UP,
    Schedule,
    step_size,
    steps_for,
)


def test_a_deeper_base_has_a_lower_learning_rate(home: Home) -> None:
    training = read_settings(home, None).training
    rate = training.learning_rates[0]
    assert recipe_of(training, LAYERS).learning_rate == rate
    assert recipe_of(training, 2).learning_rate == rate
    assert recipe_of(training, 28).learning_rate == pytest.approx(rate * LAYERS / 28)
    assert recipe_of(training, 28, Overrides(1e-3, 7, 9, 5)).max_steps == 9


def test_the_learning_rate_rises_and_falls_linearly_to_zero() -> None:
    schedule = Schedule(100)
    taken = []
    while not schedule.over:
        taken.append(schedule.take())
    assert len(taken) == 100
    assert taken[0] < taken[WARM_UP]
    assert taken[49] == pytest.approx(0.51)
    assert taken[-1] == pytest.approx(0.01)


def test_early_learning_ends_the_schedule_early_without_a_jump() -> None:
    schedule = Schedule(100)
    taken = [schedule.take() for _ in range(40)]
    schedule.shorten(16)
    schedule.shorten(5)  # once is enough
    while not schedule.over:
        taken.append(schedule.take())
    assert len(taken) == 56
    assert taken[39] - taken[40] < 0.05
    assert taken[-1] < 0.06
    late = Schedule(20)
    for _ in range(10):
        late.take()
    late.shorten(16)  # otherwise later than the end
    assert (late.steps, late.shortened) == (20, False)


def test_another_round_starts_lower_and_stays_within_the_step_limit() -> None:
    schedule = Schedule(10)
    for _ in range(10):
        schedule.take()
    assert schedule.over
    assert schedule.restart(8, 100)
    rates = [schedule.take() for _ in range(8)]
    assert schedule.over
    assert rates[0] == RESTART_RATE
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0
    assert not schedule.restart(8, 18)


def test_more_changed_anchors_mean_more_anchors_per_step() -> None:
    one = [Sample((1, 2), 1, 0)]
    first, moved, learnt = (step_size(one, *shares) for shares in ((0, 1), (0.9, 0.85), (1, 0.9)))
    assert first[0] > first[1]
    assert moved[0] < moved[1]
    assert learnt[0] < moved[0]
    assert {sum(size) for size in (first, moved, learnt)} == {STEP_SAMPLES}
    many = [Sample((1, 2), 1, number) for number in range(250)]
    assert step_size(many, 0, 1)[1] == first[1] + 2
    assert step_size(one, 1, 1) == first


def test_a_longer_trial_takes_more_steps_unless_the_limit_is_reached(home: Home) -> None:
    training = read_settings(home, None).training
    lessons = [Sample((1, 2), 1, number) for number in range(20)]
    usual, longer = (
        steps_for(recipe_of(training, 4, Overrides(longer=x)), lessons) for x in (1, 2)
    )
    assert (usual, longer) == (400, 800)
    few = [Sample((1, 2), 1, 0)]
    assert steps_for(recipe_of(training, 4), few) == 200
    assert steps_for(recipe_of(training, 4, Overrides(longer=2)), few) == 400
    assert steps_for(recipe_of(training, 4, Overrides(steps=9, longer=2)), few) == 9
