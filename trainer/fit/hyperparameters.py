"""Derive the hyperparameters of one run on one base from the `[training]` settings. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.fit.job import Recipe

if TYPE_CHECKING:
    from memory.settings.settings import TrainingSettings

LAYERS = 4
"""Number of layers for which the learning rates of the settings hold unchanged."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """Values that one run uses instead of the settings; None keeps the setting."""

    rate: float | None = None
    seed: int | None = None
    steps: int | None = None
    seconds: float | None = None
    anchors: float = 1.0
    """Factor of the weights of the anchors."""
    near: float = 1.0
    """Factor of how often near misses are drawn, relative to other anchors."""
    longer: float = 1.0
    """Factor of how often each lesson is shown."""


def recipe_of(
    training: TrainingSettings, layers: int, overrides: Overrides | None = None
) -> Recipe:
    """Return the recipe for a base of `layers` layers.

    Each layer adds to what an adapter changes, so a deeper model takes smaller steps: its rate is
    LAYERS / layers of the one in the settings.
    """
    chosen = overrides or Overrides()
    rate = training.learning_rates[0] if chosen.rate is None else chosen.rate
    return Recipe(
        rank=training.rank,
        alpha=training.alpha,
        targets=tuple(training.targets),
        learning_rate=rate * min(1.0, LAYERS / layers),
        max_steps=training.max_steps if chosen.steps is None else chosen.steps,
        preference_weight=training.preference_weight,
        preference_beta=training.preference_beta,
        anchor_weight=training.anchor_weight * chosen.anchors,
        hidden_weight=training.hidden_weight * chosen.anchors,
        frozen_layers=training.frozen_layers,
        noise=training.noise,
        max_seconds=training.max_minutes * 60 if chosen.seconds is None else chosen.seconds,
        seed=training.seed if chosen.seed is None else chosen.seed,
        threads=training.threads,
        visits=round(training.visits * chosen.longer),
    )
