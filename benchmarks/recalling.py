"""The chat's own recall on the base, as a contestant: marks in a journal, found and placed by `agent`.

Writes a throw-away home with the journal and its index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agent.prompt.prompt import TOKENS_PER_DIFFERENCE
from benchmarks.contestants import quiet_settings, write_marks
from benchmarks.marks import Mark
from benchmarks.measuring import Block
from memory.memory import Memory
from memory.settings.paths import Home

if TYPE_CHECKING:
    from agent.llama.engine import Engine


@contextmanager
def recall_block(engine: Engine, folder: Path, chosen: Sequence[Mark]) -> Iterator[Block]:
    """Give the function that recalls for a message as `agent/chat/graph.py` does."""
    home = Home.at(folder)
    settings = quiet_settings(home)
    write_marks(home, chosen)
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
