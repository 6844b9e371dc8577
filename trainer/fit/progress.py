"""The progress of a training, and its best state so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trainer.fit.batch_sampler import Standing

if TYPE_CHECKING:
    from torch import Tensor

ROUNDS = 5
"""Most rounds of a training; each one ends when the learning rate has decayed."""


@dataclass(slots=True)
class RunState:
    """The progress of the training, and the best state so far by `Standing.score`."""

    step: int = 0
    tokens: int = 0
    stepping: float = 0.0
    reason: str = "steps"
    rounds: int = ROUNDS
    best_score: tuple[float, float] = (-1.0, 0.0)
    best_step: int = 0
    surveyed_at: int = 0
    """The step of the last survey."""
    learnt: float = 0.0
    """Share of right wordings in the best state."""
    best: list[Tensor] = field(default_factory=list)

    def keep_if_best(self, standing: Standing, trained: Sequence[Tensor]) -> None:
        """Keep the parameters `trained` if this state is the best."""
        if standing.score > self.best_score:
            self.best_score, self.best_step = standing.score, self.step
            self.learnt = standing.learned
            self.best = [parameter.detach().clone() for parameter in trained]
