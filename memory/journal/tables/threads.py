"""The threads of the journal: listed as sessions, renamed, deleted with all their text.

A thread consists of its turns; its name is stored in them, in the marks made there and in the fact
that names the last thread. Renaming changes all of these in one transaction. Deleting removes the
turns and, like forgetting (`memory/journal/tables/forgetting.py`), erases their text.
Acknowledged marks are never lost: differences stay with their own question and reply, without the
thread's name and the conversation before them.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from memory.difference import Difference, Turn
from memory.errors import ThreadError, UnknownIdError
from memory.journal.database import Database
from memory.journal.tables.branches import Branches
from memory.journal.tables.facts import count_change
from memory.journal.tables.forgetting import Forgetting, require_purge
from memory.journal.tables.turns import Turns
from memory.journal.tables.write_marks import Differences
from memory.sentence import Sentence

LAST_THREAD = "last thread"
"""The name of the fact that stores the last used thread."""
LONGEST_NAME = 80
_AT_ONCE = 4
_SEEN = 300  # characters of a message that a list shows at most


@dataclass(frozen=True, slots=True)
class Session:
    """A thread in a list.

    `at` is the time of its last turn, `asked` the start of its first message, `replied` that of its
    last reply.
    """

    name: str
    turns: int
    marks: int
    began: datetime
    at: datetime
    asked: str
    replied: str


@dataclass(frozen=True, slots=True)
class ThreadExport:
    """What is exported of a thread: the turns of its current branch, and the marks on them."""

    thread: str
    turns: tuple[Turn, ...]
    marks: tuple[Difference, ...]


class Threads:
    """Threads as a whole: listed, renamed, deleted."""

    def __init__(
        self,
        database: Database,
        *,
        turns: Turns,
        branches: Branches,
        differences: Differences,
        forgetting: Forgetting,
    ) -> None:
        self._database = database
        self._turns = turns
        self._branches = branches
        self._differences = differences
        self._forgetting = forgetting

    def all(self) -> list[tuple[str, int, datetime]]:
        """Return (name, number of turns, time of the last turn) of each thread, latest first."""
        rows = self._database.rows(
            "select thread, count(*) as turns, max(at) as at from turns "
            "group by thread order by max(seq) desc"
        )
        return [(row["thread"], row["turns"], datetime.fromisoformat(row["at"])) for row in rows]

    def sessions(self) -> list[Session]:
        """Return every thread, the one used last first."""
        rows = self._database.rows(
            "with spans as (select thread, count(*) as turns, min(seq) as first, max(seq) as last "
            "from turns group by thread), "
            "marked as (select t.thread as thread, count(*) as marks from differences d "
            "join turns t on t.id = d.turn group by t.thread) "
            "select spans.thread, spans.turns, coalesce(marked.marks, 0) as marks, "
            "one.at as began, other.at as at, "
            "substr(one.asked, 1, :seen) as asked, substr(other.replied, 1, :seen) as replied "
            "from spans join turns one on one.seq = spans.first "
            "join turns other on other.seq = spans.last "
            "left join marked on marked.thread = spans.thread order by spans.last desc",
            {"seen": _SEEN},
        )
        return self._database.decode(_session_of, rows)

    def of_turn(self, turn: str) -> str:
        """Return the name of the thread of a turn (full id); "" if the turn is gone."""
        rows = self._database.rows("select thread from turns where id = ?", (turn,))
        return str(rows[0][0]) if rows else ""

    def require(self, name: str) -> str:
        """Return `name` if there is a thread with that name.

        Raises:
            UnknownIdError: there is none.
        """
        if not self._has_thread(name):
            near = get_close_matches(name, [known for known, _n, _at in self.all()], n=1)
            hint = (
                Sentence("did you mean {near!r}?", near=near[0])
                if near
                else Sentence("`discern sessions list` lists the threads")
            )
            raise UnknownIdError(
                "there is no thread {name!r}; {hint}", name=name[:LONGEST_NAME], hint=hint
            )
        return name

    def transcript(self, name: str) -> ThreadExport:
        """Return the current branch of a thread with the marks made there.

        Raises:
            UnknownIdError: no thread has that name.
        """
        turns = self._branches.current(self.require(name))
        return ThreadExport(
            name, tuple(turns), tuple(self._differences.on_turns([turn.id for turn in turns]))
        )

    def free_name(self, old: str, new: str) -> str:
        """Return the name that the thread `old` would have as `new`.

        Raises:
            UnknownIdError: there is no thread `old`.
            ThreadError: `new` is not a valid name, or another thread has it.
        """
        name = thread_name(new)
        if name != self.require(old) and self._has_thread(name):
            raise ThreadError("there is already a thread {name!r}; choose another name", name=name)
        return name

    def rename(self, old: str, new: str) -> str:
        """Rename a thread everywhere its name is stored; return its new name.

        Raises:
            UnknownIdError: there is no thread `old`.
            ThreadError: `new` is not a valid name, or another thread has it.
        """
        with self._database.transaction() as connection:
            name = self.free_name(old, new)
            if name == old:
                return name
            names = {"old": old, "new": name}
            here = "(select id from turns where thread = :old)"
            connection.execute(
                "update versions set body = json_set(body, '$.thread', :new) where difference in "
                f"(select id from differences where turn in {here})",
                names,
            )
            connection.execute(f"update differences set thread = :new where turn in {here}", names)
            connection.execute("update turns set thread = :new where thread = :old", names)
            connection.execute(
                "update or replace heads set thread = :new where thread = :old", names
            )
            connection.execute(
                "update facts set value = :new where name = :fact and value = :old",
                {**names, "fact": LAST_THREAD},
            )
        return name

    def delete(self, name: str) -> int:
        """Delete a thread's turns with all their text, in every branch; return how many.

        The marks made there stay, each with its own question and reply. If the process is killed, the
        thread is unchanged or deleted; text still in the log is purged when the journal is next
        opened.
        """
        with self._database.transaction() as connection:
            gone = self._turns.in_thread(name)
            marked = {item.turn for item in self._differences.on_turns([turn.id for turn in gone])}
            self._detach_marks(connection, name)
            _remove_from_quarantine(connection, gone, marked)
            connection.execute("delete from turns where thread = ?", (name,))
            connection.execute("delete from heads where thread = ?", (name,))
            self._reset_last_thread(connection, name)
            count_change(connection)
            require_purge(connection)
        self._forgetting.purge()
        return len(gone)

    def delete_gradually(self, name: str) -> None:
        """Delete a thread's turns a few at a time, and fold the log after each step.

        For a disk that is too full for one transaction. If the process is killed, the thread is
        shorter, and deleting can continue.
        """
        with self._database.transaction() as connection:
            self._detach_marks(connection, name)
        while some := self._turns.in_thread(name, limit=_AT_ONCE):
            with self._database.transaction() as connection:
                marked = {
                    item.turn for item in self._differences.on_turns([turn.id for turn in some])
                }
                _remove_from_quarantine(connection, some, marked)
                connection.executemany(
                    "delete from turns where id = ?", [(turn.id,) for turn in reversed(some)]
                )
            self._database.fold_log()

    def texts_only_in(self, name: str) -> list[str]:
        """Return the texts of a thread that are in no other thread and no difference."""
        rows = self._database.rows(
            "select asked from turns where thread = :name "
            "union select replied from turns where thread = :name "
            "except select asked from turns where thread != :name "
            "except select replied from turns where thread != :name "
            "except select asked from differences except select replied from differences "
            "except select sounds from differences",
            {"name": name},
        )
        return [str(row[0]) for row in rows]

    def _has_thread(self, name: str) -> bool:
        return bool(self._database.rows("select 1 from turns where thread = ? limit 1", (name,)))

    def _detach_marks(self, connection: sqlite3.Connection, name: str) -> None:
        """Detach the marks of a thread.

        The thread's name and the conversation before them are removed, except for the system prompt.
        """
        marks = connection.execute(
            "select id, before from differences where turn in "
            "(select id from turns where thread = ?)",
            (name,),
        ).fetchall()
        for row in marks:
            connection.execute(
                "update differences set thread = '', before = ? where id = ?",
                (json.dumps(_alone(json.loads(row["before"]))), row["id"]),
            )
            for version in connection.execute(
                "select version, body from versions where difference = ?", (row["id"],)
            ).fetchall():
                body = json.loads(version["body"])
                body |= {"thread": "", "before": json.dumps(_alone(json.loads(body["before"])))}
                connection.execute(
                    "update versions set body = ? where difference = ? and version = ?",
                    (json.dumps(body), row["id"], version["version"]),
                )

    def _reset_last_thread(self, connection: sqlite3.Connection, name: str) -> None:
        """If the deleted thread was the last one used, make the latest remaining one the last."""
        if self._database.rows(
            "select 1 from facts where name = ? and value = ?", (LAST_THREAD, name)
        ):
            left = self.all()
            if left:
                connection.execute(
                    "update facts set value = ? where name = ?", (left[0][0], LAST_THREAD)
                )
            else:
                connection.execute("delete from facts where name = ?", (LAST_THREAD,))


def thread_name(text: str) -> str:
    """Return `text` as the name of a thread.

    Raises:
        ThreadError: it is empty, too long or has unprintable characters.
    """
    name = text.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ThreadError(
            "{name!r} is not a valid thread name; use 1 to {longest} printable characters",
            name=text[:40],
            longest=LONGEST_NAME,
        )
    return name


def _session_of(row: sqlite3.Row) -> Session:
    return Session(
        name=row["thread"],
        turns=row["turns"],
        marks=row["marks"],
        began=datetime.fromisoformat(row["began"]),
        at=datetime.fromisoformat(row["at"]),
        asked=row["asked"],
        replied=row["replied"],
    )


def _alone(before: list[list[str]]) -> list[list[str]]:
    return [message for message in before if message[0] == "system"]


def _remove_from_quarantine(
    connection: sqlite3.Connection, gone: list[Turn], marked: set[str]
) -> None:
    """Remove these turns from pending imports.

    These are the records of a turn that nobody marked here, and turns in the conversation before
    other records.
    """
    said = {(turn.asked, turn.replied) for turn in gone}
    unmarked = {(turn.asked, turn.replied) for turn in gone if turn.id not in marked}
    for row in connection.execute("select seq, body from quarantine").fetchall():
        try:
            body = json.loads(row["body"])
        except ValueError:
            continue
        if (body.get("asked"), body.get("replied")) in unmarked:
            connection.execute("delete from quarantine where seq = ?", (row["seq"],))
        elif before := body.get("before"):
            kept = list(before)
            for place in range(len(kept) - 2, -1, -1):
                if tuple(message.get("content") for message in kept[place : place + 2]) in said:
                    del kept[place : place + 2]
            if kept != before:
                connection.execute(
                    "update quarantine set body = ? where seq = ?",
                    (json.dumps(body | {"before": kept}), row["seq"]),
                )
