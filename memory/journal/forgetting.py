"""Taking differences out of the journal: a mark taken back, or forgotten with all its text.

Forgetting leaves no text: not of the difference, its versions and its stems, not of the turn it was
marked on, not in what later marks remember of the talk before them, not in an import that waits. What
is removed is overwritten in the file (`secure_delete`); the write-ahead log, where it still stands, is
folded and emptied; while another process reads from the log that has to wait, and the next opening
of the journal does it. Only the id stays, so that adapters trained on it are known.
"""

from __future__ import annotations

import json
import sqlite3

from memory.difference import Difference, now
from memory.journal.database import Database
from memory.journal.facts import count_change

_PAGES = 16
"""Pages of the index of stems that are merged at once."""


class Forgetting:
    """Removes differences, with or without all their text."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remove_mark(self, difference: Difference) -> None:
        """Take a mark and its versions out; the turn it was made on stays.

        What it had taken the place of passes to its own successor, or is in force again.
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
        """Remove a difference and its text for good, the turn's too unless another mark needs it."""
        with self._database.transaction() as connection:
            self.remove_mark(difference)
            shared = connection.execute(
                "select 1 from differences where turn = ? limit 1", (difference.turn,)
            ).fetchone()
            if shared is None:
                connection.execute("delete from turns where id = ?", (difference.turn,))
                self._leave_out_of_talk(connection, difference)
            connection.execute(
                "delete from quarantine where case when json_valid(body) then "
                "json_extract(body, '$.asked') = ? and json_extract(body, '$.replied') = ? end",
                (difference.asked, difference.replied),
            )
            require_purge(connection)
        self.purge()

    def purge(self) -> bool:
        """Remove forgotten words from the log and from the index of stems.

        Return False while another process reads from the log.

        A removed row leaves its stems in FTS5's older segments until these are merged. That is done a
        few pages at a time, so that the log stays short: sqlite.org/fts5.html, "The merge Command".
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

    def _leave_out_of_talk(self, connection: sqlite3.Connection, gone: Difference) -> None:
        """Take the forgotten turn out of what other marks of the thread remember as said before."""
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

    def forgotten_ids(self) -> list[str]:
        """Return the ids of what was forgotten or taken back; no text of it is left."""
        return [row["id"] for row in self._database.rows("select id from forgotten order by at")]


def require_purge(connection: sqlite3.Connection) -> None:
    """Note, in the transaction that removes text, that it must be purged from the file as well."""
    connection.execute("insert or replace into facts values ('to fold', '1')")


def _without(before: str, gone: Difference) -> str:
    """Return the JSON of a talk without the forgotten question and reply."""
    messages = [list(item) for item in json.loads(before)]
    pair = [["user", gone.asked], ["assistant", gone.replied]]
    for place in range(len(messages) - 1, -1, -1):
        if messages[place : place + 2] == pair:
            del messages[place : place + 2]
    return json.dumps(messages)
