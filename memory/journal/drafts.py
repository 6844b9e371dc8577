"""Unsent messages from chats that were terminated from outside; the next chat restores them."""

from __future__ import annotations

import json

from memory.journal.database import Database
from memory.journal.facts import Facts

_FACT = "drafts"


class Drafts:
    """Messages that were not sent."""

    def __init__(self, database: Database, facts: Facts) -> None:
        self._database = database
        self._facts = facts

    def add(self, text: str) -> None:
        """Store a message that was not sent."""
        with self._database.transaction():
            kept = self._kept()
            if text not in kept:
                self._facts.set(_FACT, json.dumps([*kept, text]))

    def pop(self) -> str | None:
        """Remove and return the message that was stored last; None if there is none."""
        if not self._kept():
            return None
        with self._database.transaction():
            kept = self._kept()
            latest = kept.pop() if kept else None
            self._facts.set(_FACT, json.dumps(kept))
        return latest

    def _kept(self) -> list[str]:
        kept: list[str] = json.loads(self._facts.get(_FACT) or "[]")
        return kept
