"""Removing differences from the journal: undoing a mark, or forgetting it with all its text.

Forgetting erases the text everywhere: in the difference, its versions and stems, in the turn it was
marked on, in the conversation stored with later marks, in pending imports. Removed content is
overwritten in the file (`secure_delete`), and the write-ahead log is folded and emptied; while
another process reads from the log, that waits until the journal is next opened. Only the id stays, so
that adapters trained on it can be identified.
"""

from __future__ import annotations

import json
import sqlite3

from memory.difference import Difference, now
from memory.journal.database import Database
from memory.journal.tables.facts import count_change

_PAGES = 16
"""Pages of the index of stems that are merged at once."""


class Forgetting:
    """Removes differences, with or without all their text."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remove_mark(self, difference: Difference) -> None:
        """Remove a mark and its versions; the turn stays.

        Differences that it superseded are superseded by its successor, or become active again.
        """
        gone = (difference.id,)
        with self._database.transaction() as connection:
            connection.execute(
                "update differences set superseded_by = "
                "(select superseded_by from differences where id = ?1) where superseded_by = ?1",
                gone,
            )
            connection.execute(
                "delete from stems where rowid = (select seq from differences where id = ?)", gone
            )
            connection.execute("delete from differences where id = ?", gone)
            connection.execute("delete from versions where difference = ?", gone)
            connection.execute(
                "insert or ignore into forgotten values (?, ?)", (*gone, now().isoformat())
            )
            count_change(connection)

    def forget(self, difference: Difference) -> None:
        """Erase a difference and its text, and its turn unless another mark needs it."""
        with self._database.transaction() as connection:
            self.remove_mark(difference)
            shared = connection.execute(
                "select 1 from differences where turn = ? limit 1", (difference.turn,)
            ).fetchone()
            if shared is None:
                connection.execute("delete from turns where id = ?", (difference.turn,))
                self._remove_from_conversations(connection, difference)
            connection.execute(
                "delete from quarantine where case when json_valid(body) then "
                "json_extract(body, '$.asked') = ? and json_extract(body, '$.replied') = ? end",
                (difference.asked, difference.replied),
            )
            require_purge(connection)
        self.purge()

    def purge(self) -> bool:
        """Purge removed text from the log and the stem index; return False while the log is in use.

        FTS5 keeps the stems of a removed row in older segments until these are merged. They are
        merged a few pages at a time, so that the log stays short: sqlite.org/fts5.html, "The merge
        Command".
        """
        if not self._database.rows("select 1 from facts where name = 'to fold'"):
            return True
        merging = True
        while merging:
            with self._database.transaction() as connection:
                before = connection.total_changes
                connection.execute(f"insert into stems (stems, rank) values ('merge', -{_PAGES})")
                merging = connection.total_changes - before >= 2
            if not self._database.fold_log():
                return False
        with self._database.transaction() as connection:
            connection.execute("delete from facts where name = 'to fold'")
        return True

    def _remove_from_conversations(self, connection: sqlite3.Connection, gone: Difference) -> None:
        """Remove the forgotten turn from the conversations stored with other marks."""
        for row in connection.execute(
            "select id, before from differences where thread = ? and before != '[]'",
            (gone.thread,),
        ).fetchall():
            if (kept := _without(row["before"], gone)) != row["before"]:
                connection.execute(
                    "update differences set before = ? where id = ?", (kept, row["id"])
                )
        for row in connection.execute(
            "select v.* from versions v join differences d on d.id = v.difference "
            "where d.thread = ?",
            (gone.thread,),
        ).fetchall():
            body = json.loads(row["body"])
            body["before"] = _without(body["before"], gone)
            connection.execute(
                "update versions set body = ? where difference = ? and version = ?",
                (json.dumps(body), row["difference"], row["version"]),
            )


def require_purge(connection: sqlite3.Connection) -> None:
    """Note, in the transaction that removes text, that it must be purged from the file as well."""
    connection.execute("insert or replace into facts values ('to fold', '1')")


def _without(before: str, gone: Difference) -> str:
    """Return the JSON of a conversation without the forgotten question and reply."""
    messages = [list(item) for item in json.loads(before)]
    pair = [["user", gone.asked], ["assistant", gone.replied]]
    for place in range(len(messages) - 1, -1, -1):
        if messages[place : place + 2] == pair:
            del messages[place : place + 2]
    return json.dumps(messages)
