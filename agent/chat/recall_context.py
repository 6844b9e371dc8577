"""Which past differences go into the context of a message: for chats, agents, nights, comparisons.

A difference that the current adapter has learned is not added to the context of its own question at the
start of a thread: the weights answer it, and a block that repeats it costs tokens. In other words or
after other exchanges it is recalled as before (`memory/recall/learned_differences.py`), as are pinned
differences and those that were edited since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from agent.llama.engine import Engine
from agent.models.served_model import embedder
from agent.prompt.prompt import TOKENS_PER_DIFFERENCE
from memory.difference import Difference
from memory.journal.journal import Journal
from memory.memory import Memory
from memory.recall.embedder import NgramEmbedder
from memory.recall.hybrid_search import Recalled
from memory.recall.index import index_in_memory
from memory.recall.learned_differences import NOTHING_LEARNED, Learned
from memory.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Recaller:
    """Recalls from `memory` for a model; `count` returns how many tokens a text takes there."""

    memory: Memory
    count: Callable[[str], int]
    window: int | None = None
    """The model's context in tokens; None when it is not known."""
    reproducible: bool = False
    """Derive the block's nonce from the prompt, so that equal prompts get equal blocks. A chat does
    not: a text that knows the nonce could close the block."""

    @classmethod
    def for_engine(cls, memory: Memory, engine: Engine, *, reproducible: bool = False) -> Recaller:
        """Recall for the model of `engine`."""
        return cls(
            memory, lambda text: len(engine.tokenize(text)), engine.info.context, reproducible
        )

    @classmethod
    @contextmanager
    def from_journal(
        cls, journal: Journal, settings: Settings, engine: Engine
    ) -> Iterator[Recaller]:
        """Recall reproducibly, as a chat with these settings does, but with vectors of its own.

        The index in the home belongs to the chat.
        """
        index = None
        if settings.memory.dense:
            index = index_in_memory(journal, embedder(settings) or NgramEmbedder)
        try:
            if index is not None:
                index.settle()
            memory = Memory(journal, index, NgramEmbedder(), settings.recall)
            yield cls.for_engine(memory, engine, reproducible=True)
        finally:
            if index is not None:
                index.close()

    def recall(
        self, message: str, learned: Learned = NOTHING_LEARNED, prompt: Sequence[int] = ()
    ) -> tuple[str, tuple[Recalled, ...]]:
        """Return the block for `message`, "" for none, and the differences in it.

        `learned` is the adapter's `Manifest.learned`. With `reproducible`, the nonce also depends on
        `prompt`, the tokens of the prompt without a block.
        """
        limit = self.memory.settings.limit
        if self.window is not None:
            # In a small window, and for the small model behind it, the closest match works best.
            limit = min(limit, max(1, self.window // TOKENS_PER_DIFFERENCE))
        nonce = b""
        if self.reproducible:
            prompted = f"{message}|{','.join(map(str, prompt))}"
            nonce = hashlib.sha256(prompted.encode("utf-8", "replace")).digest()
        return self.memory.recall(
            message,
            count=self.count,
            budget=self._budget,
            limit=limit,
            learned=learned,
            nonce=nonce,
        )

    def standing_left_out(self) -> tuple[Difference, ...]:
        """Return the marks about every reply for which the context has no room."""
        return self.memory.standing_left_out(count=self.count, budget=self._budget)

    @property
    def _budget(self) -> int:
        most = self.memory.settings.token_budget
        return most if self.window is None else min(most, self.window // 2)
