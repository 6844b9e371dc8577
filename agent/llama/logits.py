"""Read one row of logits: surprisal, log-probabilities, the most likely tokens.

A row has the shape [vocabulary] and is float32. These functions run once per generated token, so they
avoid passes over the vocabulary, and fresh memory, whose first use costs more than the arithmetic.
"""

from __future__ import annotations

import ctypes
import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]

_BLOCK = 64
"""Logits whose maximum is taken first, in `most_likely`."""


class _Scratch(threading.local):
    """Memory for one row, kept by each thread."""

    row: FloatArray = np.empty(0, np.float32)

    def of(self, size: int) -> FloatArray:
        if len(self.row) != size:
            self.row = np.empty(size, np.float32)
        return self.row


_scratch = _Scratch()


def view(pointer: Any, size: int) -> FloatArray:
    """Return the `size` floats at a pointer that llama.cpp returned, without a copy.

    `numpy.ctypeslib.as_array` would leave a reference cycle for every row, thousands in a night, which
    only the garbage collector frees.
    """
    numbers: Any = (ctypes.c_float * size).from_address(ctypes.addressof(pointer.contents))
    return np.frombuffer(numbers, np.float32)


def _sum_exp(logits: FloatArray, less: np.float32) -> float:
    """Return Σ exp(logits − less), computed in float32."""
    shifted = _scratch.of(len(logits))
    np.subtract(logits, less, out=shifted)
    np.exp(shifted, out=shifted)
    return float(shifted.sum())


def log_sum_exp(logits: FloatArray) -> float:
    """Return ln Σ exp of a row, in float32, shifted by the maximum for stability."""
    highest = logits.max()
    return float(highest) + math.log(_sum_exp(logits, highest))


def surprisal_of(logits: FloatArray, token: int) -> float:
    """Return −ln p of `token` under one row of logits, in nats."""
    # A token that was drawn is near the maximum, so its own logit is subtracted instead.
    with np.errstate(over="ignore"):
        total = _sum_exp(logits, logits[token])
    return math.log(total) if 1 <= total < math.inf else log_sum_exp(logits) - float(logits[token])


def log_softmax(logits: FloatArray) -> FloatArray:
    """Return ln softmax of a row of logits, in float32, shifted by the maximum for stability."""
    shifted = logits - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()), dtype=np.float32)


def most_likely(logits: FloatArray, count: int) -> tuple[Ids, FloatArray]:
    """Return the `count` most likely tokens, the most likely first, and their ln p.

    At most the size of the vocabulary is returned.
    """
    count = min(count, len(logits))
    whole = len(logits) - len(logits) % _BLOCK
    best = np.arange(len(logits))
    if whole >= count * _BLOCK:
        # `count` blocks have a maximum of at least `least`, so no smaller logit is among the largest.
        highest = logits[:whole].reshape(-1, _BLOCK).max(axis=1)
        least = np.partition(highest, -count)[-count]
        best = np.flatnonzero(logits >= least)
    values = logits[best]
    order = np.argsort(-values, kind="stable")[:count]
    return best[order].astype(np.int32), values[order] - np.float32(log_sum_exp(logits))
