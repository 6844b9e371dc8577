"""The messages before the next one, read from the journal: as many as the context can hold.

A thread may have thousands of turns, of which the model sees the latest few. It is read from its end, a
page at a time, until there is more than fits, so a message costs the same in a long thread.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.llama.engine import Engine
from agent.prompt.prompt import content_tokens
from memory.difference import Message
from memory.journal.journal import Journal

TURNS_PER_READ = 16
"""Turns that are read at a time."""


@dataclass(frozen=True, slots=True)
class History:
    """The latest messages, oldest first; `omitted` counts the earlier ones, which cannot fit."""

    messages: tuple[Message, ...]
    omitted: int


def history_up_to(journal: Journal, last: str, engine: Engine) -> History:
    """Return the messages up to the turn `last` ("" for none)."""
    messages: list[Message] = []
    tokens = 0
    while last and tokens <= engine.info.context:
        page = journal.branches.up_to(last, limit=TURNS_PER_READ)
        read = [
            message
            for turn in page
            if turn.asked
            for message in (Message("user", turn.asked), Message("assistant", turn.replied))
        ]
        tokens += sum(len(content_tokens(engine, message.content)) for message in read)
        messages[:0] = read
        last = journal.turns.parent(page[0].id) if page else ""
    return History(tuple(messages), 2 * journal.branches.count_asked(last) if last else 0)
