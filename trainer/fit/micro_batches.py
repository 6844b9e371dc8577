"""Divide the samples of a step into micro-batches that fit into memory.

When memory runs out, the micro-batches are halved and the work is done again; it fails only if a single
sample does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from trainer.fit.batch import TokenTree, length
from trainer.fit.job import Sample

_Found = TypeVar("_Found")

MICRO_BATCH_TOKENS = {"cpu": 1024, "cuda": 16384}
"""Most tokens of a micro-batch. With gradients, activations often allow fewer
(`choose_micro_batch_size`)."""


class MicroBatches:
    """The sizes of the micro-batches of one model."""

    def __init__(self, model: Any, device: str, on_halved: Callable[[int], None]) -> None:
        self.size = self.size_without_gradients = MICRO_BATCH_TOKENS[device]
        """Most tokens of a micro-batch, with and without gradients."""
        self._model = model
        self._device = device
        self._on_halved = on_halved

    def with_gradients(self, samples: Sequence[Sample]) -> Iterator[list[Sample]]:
        """Yield micro-batches of at most `size` tokens."""
        return _divide(samples, self.size)

    def without_gradients(self, samples: Sequence[Sample]) -> Iterator[list[Sample]]:
        """Yield micro-batches of at most `size_without_gradients` tokens."""
        return _divide(samples, self.size_without_gradients)

    def retry_smaller(self, once: Callable[[], _Found], samples: Sequence[Sample]) -> _Found:
        """Call `once`, again with smaller micro-batches while memory runs out; return its result.

        Raises:
            MemoryError: a single one of the samples does not fit.
        """
        import torch

        longest = max(map(length, samples), default=1)
        while True:
            try:
                return once()
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            self._model.zero_grad(set_to_none=True)
            if self._device == "cuda":
                torch.cuda.empty_cache()
            if self.size <= longest and self.size_without_gradients <= longest:
                raise MemoryError(f"out of memory on a single sample of {longest} tokens")
            self.size = min(self.size, max(longest, self.size // 2))
            self.size_without_gradients = min(
                self.size_without_gradients, max(longest, self.size_without_gradients // 2)
            )
            self._on_halved(self.size)


def _divide(samples: Sequence[Sample], most: int) -> Iterator[list[Sample]]:
    """Yield groups of samples with at most `most` tokens, or a single sample."""
    group: list[Sample] = []
    tree, size = TokenTree(), 0
    # Neighbours in this order have the longest common prefixes.
    for sample in sorted(samples, key=lambda sample: sample.tokens):
        # Logits are computed for every token of a reply, whether or not it is shared.
        need = max(tree.room_for(sample), len(sample.tokens) - sample.prompt)
        if group and size + need > most:
            yield group
            group, tree, size = [], TokenTree(), 0
            need = length(sample)
        group.append(sample)
        tree.add_sample(sample)
        size += need
    if group:
        yield group


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on the CPU or on a GPU."""
    import torch

    words = str(error).lower()
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        "out of memory" in words or "not enough memory" in words or "can't allocate" in words
    )
