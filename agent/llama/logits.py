"""Read one row of logits: surprisal, log-probabilities, the most likely tokens.

A row has the shape [vocabulary] and is float32. These functions run once per generated token, so they
avoid passes over the vocabulary.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]

_BLOCK = 64
"""Logits whose maximum is taken first, in `most_likely`."""


def log_sum_exp(logits: FloatArray) -> float:
    """Return ln Σ exp of a row, computed in float32 with the maximum taken out."""
    highest = logits.max()
    shifted = logits - highest
    np.exp(shifted, out=shifted)
    return float(highest) + float(np.log(shifted.sum()))


def surprisal_of(logits: FloatArray, token: int) -> float:
    """Return −ln p of `token` under one row of logits, in nats."""
    return log_sum_exp(logits) - float(logits[token])


def log_softmax(logits: FloatArray) -> FloatArray:
    """Return ln softmax of one row of logits, computed in float32 with the maximum taken out."""
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
