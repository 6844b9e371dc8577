"""What a chat serves by default, asked by a night: the adapter, and what is recalled for each message.

Recall is the chat's own (`agent/chat/recall_context.py`), over the words of the differences; the
chat's index of vectors belongs to the chat, and a night reads the journal only. Nothing is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.chat.recall_context import recalled_for
from agent.prompt.prompt import compose
from memory.difference import Difference, Message
from memory.errors import ModelError
from memory.memory import Memory
from memory.recall.embedder import NgramEmbedder

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from memory.journal.journal import Journal
    from memory.settings.settings import Settings
    from trainer.lessons.lesson import Question


def holdings(
    holds: Iterable[str], differences: Sequence[Difference], superseded: Mapping[str, str]
) -> dict[str, str]:
    """Return `Manifest.holds` for an adapter that holds those ids: their fingerprints, and those of
    the older differences whose place they took, which must not be recalled in their stead."""
    held = set(holds)
    held |= {older for older, newer in superseded.items() if newer in held}
    return {item.id: item.fingerprint for item in differences if item.id in held}


@dataclass(frozen=True, slots=True)
class Recaller:
    """What is recalled for a message, with or without an adapter that holds some of the differences."""

    engine: Engine
    journal: Journal
    settings: Settings
    differences: Sequence[Difference] = ()
    superseded: Mapping[str, str] | None = None

    def __call__(self, message: str, holds: Iterable[str] = ()) -> str:
        """Return the block that is recalled for `message`, "" for none, under an adapter that holds
        the differences with those ids."""
        return self.beside(message, holdings(holds, self.differences, self.superseded or {}))

    def beside(self, message: str, held: Mapping[str, str]) -> str:
        """Return the same beside an adapter with these `Manifest.holds`."""
        memory = Memory(self.journal, None, NgramEmbedder(), self.settings.recall)
        # The same message gets the same block, so that the gate measures the same thing twice.
        nonce = hashlib.sha256(message.encode("utf-8", "replace")).digest()
        return recalled_for(memory, self.engine, message, held, nonce=nonce)[0]

    def served(self, message: str, holds: Iterable[str] = ()) -> str:
        """Return the same as the settings serve it: nothing where recall is switched off."""
        return self(message, holds) if self.settings.recall.enabled else ""


def below(
    engine: Engine, settings: Settings, question: Question, block: str, reply: int
) -> tuple[int, ...] | None:
    """Return the prompt of `question` below `block`, with room for `reply` tokens; None where the
    block is empty or does not fit, for then the chat leaves it out too."""
    if not block:
        return None
    head = [Message("system", settings.chat.system)] if settings.chat.system.strip() else []
    if question.before and question.before[0].role == "system":
        head = []
    messages = [*head, *question.before[question.dropped :], Message("user", question.text)]
    try:
        room = min(reply + 16, engine.info.context // 2)
        return compose(engine, messages, block=block, room=room).tokens
    except ModelError:
        return None
