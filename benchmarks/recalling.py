"""Recall in the benchmarks: the text placed before a message, and journals to recall from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agent.prompt.prompt import TOKENS_PER_DIFFERENCE
from benchmarks.one_thread import quiet_settings
from benchmarks.starter_marks import Mark
from memory.difference import Difference, Turn
from memory.journal.journal import Journal
from memory.memory import Memory
from memory.settings.paths import Home

if TYPE_CHECKING:
    from agent.llama.engine import Engine

BlockFunction = Callable[[str], str]
"""A user's message → the recalled text that is placed before it ("" for none)."""


def no_recall(message: str) -> str:
    """Recall nothing."""
    del message
    return ""


def write_differences(home: Home, taught: Sequence[Difference]) -> None:
    """Add the differences that the journal does not have yet, each with its turn."""
    with Journal(home.prepare().journal) as journal:
        known = {item.id for item in journal.differences.all()}
        for item in taught:
            if item.id not in known:
                turn = Turn(item.turn, item.thread, item.at, item.asked, item.replied, item.model)
                journal.turns.add(turn)
                journal.differences.add(item)


@contextmanager
def recall_block(engine: Engine, folder: Path, chosen: Sequence[Mark]) -> Iterator[BlockFunction]:
    """Yield a function that recalls for a message like `agent/chat/graph.py`, on the base.

    Writes a home with the journal and its index to `folder`.
    """
    home = Home.at(folder)
    settings = quiet_settings(home)
    write_differences(home, [mark.difference for mark in chosen])
    with Memory.open(home, settings) as memory:
        context, wanted = engine.info.context, memory.settings

        def block(message: str) -> str:
            text, _items = memory.recall(
                message,
                count=lambda text: len(engine.tokenize(text)),
                budget=min(wanted.token_budget, context // 2),
                limit=min(wanted.limit, max(1, context // TOKENS_PER_DIFFERENCE)),
            )
            return text

        yield block
