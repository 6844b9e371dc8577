"""Small named values that are stored in the journal, such as unsent messages."""

from __future__ import annotations

import json
import sqlite3

from memory.journal.database import Database

_CHANGES = "changes"
_DRAFTS = "drafts"


class Facts:
    """The table of named values, such as the thread used last."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> str | None:
        """Return the value under a name; None where there is none."""
        rows = self._database.rows("select value from facts where name = ?", (name,))
        return str(rows[0]["value"]) if rows else None

    def set(self, name: str, value: str) -> None:
        """Store a value under a name."""
        with self._database.transaction() as connection:
            connection.execute(
                "insert into facts values (?, ?) "
                "on conflict (name) do update set value = excluded.value",
                (name, value),
            )


class Drafts:
    """Unsent messages from chats that were terminated from outside; the next chat restores them."""

    def __init__(self, database: Database, facts: Facts) -> None:
        self._database = database
        self._facts = facts

    def add(self, text: str) -> None:
        """Store a message that was not sent."""
        with self._database.transaction():
            kept = self._kept()
            if text not in kept:
                self._facts.set(_DRAFTS, json.dumps([*kept, text]))

    def pop(self) -> str | None:
        """Remove and return the message that was stored last; None if there is none."""
        if not self._kept():
            return None
        with self._database.transaction():
            kept = self._kept()
            latest = kept.pop() if kept else None
            self._facts.set(_DRAFTS, json.dumps(kept))
        return latest

    def _kept(self) -> list[str]:
        kept: list[str] = json.loads(self._facts.get(_DRAFTS) or "[]")
        return kept


def count_change(connection: sqlite3.Connection) -> None:
    """Increase the counter of changes to the differences, in the transaction that changes them."""
    connection.execute(
        "insert into facts values (?, '1') on conflict (name) do update "
        "set value = cast(cast(value as integer) + 1 as text)",
        (_CHANGES,),
    )


def change_count(database: Database) -> int:
    """Return the counter of changes to the differences."""
    rows = database.rows("select value from facts where name = ?", (_CHANGES,))
    return int(rows[0]["value"]) if rows else 0
