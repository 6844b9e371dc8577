"""Choose the number of threads and the precision by timing a training step with each.

The number of cores misleads: on two busy cores, spinning OpenMP threads are many times slower than one.
So does support for bfloat16: without native instructions it is slower. A model that is too small to
benefit stays in float32, whose sums are reproducible.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from trainer.fit.batch import reply_logits
from trainer.fit.job import Recipe, Sample

if TYPE_CHECKING:
    from trainer.fit.step import Stepper

LARGE = 20_000_000
"""Number of parameters from which the precision is timed."""
TIMED = 4
"""Number of samples in a timed step."""


def choose_threads(stepper: Stepper, recipe: Recipe, some: Sequence[Sample], device: str) -> int:
    """Set the number of CPU threads: the configured one, else the faster of one and all."""
    import torch

    if recipe.threads or device != "cpu" or not some:
        torch.set_num_threads(recipe.threads or 1)
        return torch.get_num_threads()
    took: dict[int, float] = {}
    for count in {torch.get_num_threads(), 1}:
        torch.set_num_threads(count)
        took[count] = _seconds(stepper, some)
    best = min(took, key=lambda count: took[count])
    torch.set_num_threads(best)
    return best


def choose_precision(stepper: Stepper, recipe: Recipe, some: Sequence[Sample], device: str) -> bool:
    """Return whether to compute matrix products in bfloat16."""
    if recipe.precision != "auto":
        return recipe.precision == "bfloat16"
    if device == "cuda":
        return True
    size = sum(parameter.numel() for parameter in stepper.model.parameters())
    if size < LARGE or not some:
        return False
    took: dict[bool, float] = {}
    for reduced in (False, True):
        stepper.reduced = reduced
        took[reduced] = _seconds(stepper, some)
    return took[True] < took[False]


def _seconds(stepper: Stepper, some: Sequence[Sample]) -> float:
    """Return the seconds of forward and backward on a few samples; no gradients remain."""

    def once() -> None:
        batch, hidden = stepper.forward(list(some)[:TIMED])
        with stepper.precision():
            logits = reply_logits(stepper.model, hidden[batch.rows, batch.columns])
        logits.sum().backward()  # type: ignore[no-untyped-call]

    once()  # the first run is a warm-up
    took = _timed(once)
    stepper.model.zero_grad(set_to_none=True)
    return took


def _timed(once: Callable[[], None]) -> float:
    start = time.perf_counter()
    once()
    return time.perf_counter() - start
