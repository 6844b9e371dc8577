"""The talk ahead of a message, read from the journal: as much of it as the context can hold.

A talk may have thousands of turns and the model sees the latest few; so it is read from its end, a page
at a time, until more stands there than fits. What a message costs does not grow with its talk.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.llama.engine import Engine
from agent.prompt.prompt import content_tokens
from memory.difference import Message
from memory.journal.journal import Journal

PAGE = 16
"""Turns that are read at once."""


@dataclass(frozen=True, slots=True)
class History:
    """The latest messages, oldest first; `omitted` counts those before them, which cannot fit."""

    messages: tuple[Message, ...]
    omitted: int


def history_up_to(journal: Journal, last: str, engine: Engine) -> History:
    """Return the talk that ends with the turn `last` ("": none)."""
    messages: list[Message] = []
    tokens = 0
    while last and tokens <= engine.info.context:
        page = journal.branches.up_to(last, limit=PAGE)
        said = [
            message
            for turn in page
            if turn.asked
            for message in (Message("user", turn.asked), Message("assistant", turn.replied))
        ]
        tokens += sum(len(content_tokens(engine, message.content)) for message in said)
        messages[:0] = said
        last = journal.turns.parent(page[0].id) if page else ""
    return History(tuple(messages), 2 * journal.branches.count_asked(last) if last else 0)
