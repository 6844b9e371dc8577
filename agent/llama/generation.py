"""A reply in the making, token by token, and how surprising each was.

Values only; `agent/llama/engine.py` draws the tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agent.llama.llama import FloatArray
from agent.llama.sampling import Sampling

if TYPE_CHECKING:
    from agent.llama.engine import Engine


@dataclass(frozen=True, slots=True)
class Piece:
    """One generated token: its id, the text it completed (may be empty), its surprisal in nats."""

    token: int
    text: str
    surprisal: float


class Generation:
    """A reply in the making: iterate over its pieces; afterwards read what came of it.

    `reason` is "end" (the model closed its turn), "length" (max_tokens or the context ran out) or
    "cancelled". Iterating holds the engine; leave no generation half read without `close`.
    `measured` are the prompt's tokens whose surprisal is wanted; `heard` holds it, in nats.
    """

    def __init__(
        self, engine: Engine, prompt: Sequence[int], sampling: Sampling, measured: range
    ) -> None:
        self.prompt = tuple(prompt)
        self.sampling = sampling
        self.measured = measured
        self.heard: list[float] = []
        self.tokens: list[int] = []
        self.surprisal: list[float] = []
        self.text = ""
        self.tail = ""
        """What the last bytes stood for, when the reply ended inside a character."""
        self.reason = "cancelled"
        self.reused = 0
        """How many prompt tokens were still in memory."""
        self._cancelled = threading.Event()
        self._pieces = engine._generate(self)

    def cancel(self) -> None:
        """Stop after the token in hand, also in the middle of a long prompt (on CPU)."""
        self._cancelled.set()

    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def __iter__(self) -> Iterator[Piece]:
        return self._pieces

    def close(self) -> None:
        """Give the engine back without reading on."""
        self._pieces.close()

    def run(self) -> Generation:
        """Read to the end; returns self."""
        for _ in self:
            pass
        return self


def surprisal_of(logits: FloatArray, token: int) -> float:
    """Return −ln p of `token` under one row of logits, in nats."""
    highest = float(logits.max())
    return highest + float(np.log(np.exp(logits - highest).sum())) - float(logits[token])


def log_softmax(logits: FloatArray) -> FloatArray:
    """Return ln softmax of one row of logits, computed in float32 with the maximum taken out."""
    shifted = logits - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()), dtype=np.float32)
