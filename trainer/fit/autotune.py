"""Choose the number of threads, the precision and the micro-batch size by timing a training step.

The number of cores is no guide: on two busy cores, spinning OpenMP threads are many times slower than
one. Neither is support for bfloat16: without native instructions it is slower. A model that is too
small to benefit stays in float32, whose sums are reproducible.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from trainer.fit.batch import inner_model, length, reply_logits
from trainer.fit.job import Recipe, Sample
from trainer.fit.model.precision import is_frozen_linear

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.fit.step import Stepper

LARGE = 20_000_000
"""Number of parameters from which the precision is timed."""
TIMED = 4
"""Number of samples in a timed step."""
MEASURED = 4
"""Number of samples whose activations are measured, the shortest: nothing divides them yet, and those
of long ones took more memory than all of the training (1.1 of 2.1 GB with SmolLM2-135M)."""
TIMED_ROWS, TIMED_PRODUCTS = 256, 8
"""Size and number of the timed matrix products."""
ACTIVATION_BYTES = {"cpu": 192 << 20, "cuda": 24 << 30}
"""Most bytes of activations that a micro-batch keeps for its gradient."""
MIN_MICRO_BATCH_TOKENS = 64


def choose_threads(stepper: Stepper, recipe: Recipe, some: Sequence[Sample], device: str) -> int:
    """Set and return the number of CPU threads: as configured, or else the faster of one and all.

    The samples are divided into micro-batches, as in a step.
    """
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


def choose_precision(stepper: Stepper, recipe: Recipe, device: str) -> bool:
    """Return whether to compute matrix products in bfloat16: as configured, or else by timing."""
    import torch

    if recipe.precision != "auto":
        return recipe.precision == "bfloat16"
    if device == "cuda":
        return True
    if sum(parameter.numel() for parameter in stepper.model.parameters()) < LARGE:
        return False
    weight = max(
        (m.weight for m in inner_model(stepper.model).layers[-1].modules() if is_frozen_linear(m)),
        key=torch.numel,
    )
    if weight.dtype == torch.bfloat16:  # chosen by an earlier job
        return True
    rows = torch.ones(TIMED_ROWS, weight.shape[1])
    took = [
        _product_seconds(rows.to(kind), weight.to(kind)) for kind in (torch.float32, torch.bfloat16)
    ]
    return took[1] < took[0]


def choose_micro_batch_size(stepper: Stepper, some: Sequence[Sample], device: str) -> int:
    """Return the most tokens of a micro-batch whose activations take at most ACTIVATION_BYTES."""
    import torch

    kept: dict[int, int] = {}
    weights = {p.untyped_storage().data_ptr() for p in stepper.model.parameters()}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    if not some:
        return stepper.micro_batches.size
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        batch, _hidden = stepper.forward(sorted(some, key=length)[:MEASURED])
    each = max(1, sum(kept.values()) // batch.computed)
    return min(
        stepper.micro_batches.size, max(MIN_MICRO_BATCH_TOKENS, ACTIVATION_BYTES[device] // each)
    )


def _product_seconds(rows: Tensor, weight: Tensor) -> float:
    """Return the seconds of some products, after a warm-up."""
    import torch

    def once() -> None:
        for _ in range(TIMED_PRODUCTS):
            torch.nn.functional.linear(rows, weight)

    once()
    return min(_timed(once) for _ in range(3))


def _seconds(stepper: Stepper, some: Sequence[Sample]) -> float:
    """Return the seconds of a forward and backward pass on a few samples; gradients are cleared."""

    def once() -> None:
        for part in stepper.micro_batches.with_gradients(some[:TIMED]):
            batch, hidden = stepper.forward(part)
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
