"""How many threads, and which precision, are faster here: found by timing a step of each.

Counting cores misleads (two busy cores with spinning OpenMP threads are many times slower than one),
and so does asking for bfloat16: a processor without its instructions is slower with it. A model so
small that it does not matter stays in float32, whose sums are the same every time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from trainer.fit.batch import make_batch, reply_logits
from trainer.fit.job import Recipe, Sample

if TYPE_CHECKING:
    from trainer.fit.step import Stepper

LARGE = 20_000_000
"""Parameters from which the precision is timed."""
TIMED = 4
"""Samples of a timed step."""


def choose_threads(stepper: Stepper, recipe: Recipe, some: Sequence[Sample], device: str) -> int:
    """Set the number of CPU threads: the one asked for, else the faster of one and all."""
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
    """Return whether matrix products should be in bfloat16."""
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
    """Return how long forward and backward take on a few samples; leaves no gradients."""
    batch = make_batch(list(some)[:TIMED], stepper.device)

    def once() -> None:
        with stepper.precision():
            logits = reply_logits(stepper.model, batch)
        logits.sum().backward()  # type: ignore[no-untyped-call]

    once()  # the first run warms the caches
    took = _timed(once)
    stepper.model.zero_grad(set_to_none=True)
    return took


def _timed(once: Callable[[], None]) -> float:
    start = time.perf_counter()
    once()
    return time.perf_counter() - start
