"""A reply as it is generated, token by token, with the surprisal of each token.

`agent/llama/engine.py` draws the tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from agent.llama.sampling_parameters import Sampling


@dataclass(frozen=True, slots=True)
class Piece:
    """One generated token: its id, the text it completed (may be empty), its surprisal in nats."""

    token: int
    text: str
    surprisal: float


class Generation:
    """A reply that is generated while its pieces are iterated over; its attributes fill up meanwhile.

    `reason` is "end" (the model closed its turn), "length" (max_tokens or the context ran out) or
    "cancelled". Iterating holds the engine, so `close` a generation that is not read to its end.
    `measured` are the prompt's tokens whose surprisal is wanted; `prompt_surprisal` holds it, in nats.
    """

    def __init__(
        self,
        draw: Callable[[Generation], Generator[Piece]],
        abort: Callable[[Generation], None],
        prompt: Sequence[int],
        sampling: Sampling,
        measured: range,
        settled: int = 0,
    ) -> None:
        """`draw` generates the pieces and fills the attributes; `abort` stops the current token."""
        self.prompt = tuple(prompt)
        self.sampling = sampling
        self.measured = measured
        self.settled = settled
        self.prompt_surprisal: list[float] = []
        self.tokens: list[int] = []
        self.surprisal: list[float] = []
        self.text = ""
        self.tail = ""
        """The text of the last bytes, when the reply ended inside a character."""
        self.reason = "cancelled"
        self.reused = 0
        """How many prompt tokens were cached."""
        self._cancelled = threading.Event()
        self._abort = abort
        self._pieces = draw(self)

    def cancel(self) -> None:
        """Stop after the current token, also in the middle of a long prompt (on CPU)."""
        self._cancelled.set()
        self._abort(self)

    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def __iter__(self) -> Iterator[Piece]:
        return self._pieces

    def close(self) -> None:
        """Stop reading and release the engine."""
        self._pieces.close()

    def run(self) -> Generation:
        """Read to the end; returns self."""
        for _ in self:
            pass
        return self
