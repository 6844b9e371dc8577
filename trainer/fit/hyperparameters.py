"""The settings of `[training]` → the hyper-parameters of one run on one base. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.fit.job import Recipe

if TYPE_CHECKING:
    from memory.settings.settings import TrainingSettings

LAYERS = 4
"""Layers of a model that takes the learning rates of the settings as they are."""


def recipe_of(
    training: TrainingSettings,
    layers: int,
    *,
    rate: float | None = None,
    seed: int | None = None,
    steps: int | None = None,
    seconds: float | None = None,
) -> Recipe:
    """Return the recipe for a base of `layers` layers; what is None is as the settings have it.

    Each layer adds to what an adapter changes, so a deeper model takes smaller steps: its rate is
    LAYERS / layers of `rate`.
    """
    rate = training.learning_rates[0] if rate is None else rate
    return Recipe(
        rank=training.rank,
        alpha=training.alpha,
        targets=tuple(training.targets),
        learning_rate=rate * min(1.0, LAYERS / layers),
        max_steps=training.max_steps if steps is None else steps,
        preference_weight=training.preference_weight,
        preference_beta=training.preference_beta,
        anchor_weight=training.anchor_weight,
        hidden_weight=training.hidden_weight,
        frozen_layers=training.frozen_layers,
        max_seconds=training.max_minutes * 60 if seconds is None else seconds,
        seed=training.seed if seed is None else seed,
        threads=training.threads,
    )
