"""Small named values that are stored in the journal."""

from __future__ import annotations

import sqlite3

from memory.journal.database import Database

_CHANGES = "changes"


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
