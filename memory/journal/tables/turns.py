"""The turns of the journal: question, reply, thread, and which differences were recalled."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from memory.difference import Message, Turn
from memory.journal.database import Database

BEFORE_CHARACTERS = 8_000
"""Characters of the preceding conversation, its latest messages, that are stored with a mark."""
_BEFORE_TURNS = 20

PATH = """with recursive path(id, parent, step) as (
    select id, parent, 0 from turns where id = :from
    union all select t.id, t.parent, step + 1 from path join turns t on t.id = path.parent
    where step + 1 < :limit)"""
"""The turns from one (`:from`) back to its thread's beginning, at most `:limit` of them."""

RecallTraceRow = tuple[str, float, tuple[str, ...]]
"""Id of a recalled difference, its score when it was recalled, the stems it shared."""


class Turns:
    """The table of turns, and the head of each thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        turn: Turn,
        why: Sequence[tuple[str, float, Sequence[str]]] = (),
        *,
        after: str | None = None,
        place: str = "",
    ) -> str:
        """Store a turn, and the score and shared stems of each difference recalled for it.

        Its parent is the turn `after` ("": it starts the thread anew), by default the head of the
        thread; the turn becomes the new head. Return the id of the parent. While the reply was being
        generated, another process may have renamed or deleted the thread: the turn goes to the thread
        of its parent, and starts its thread anew if the parent is gone. `place` is the terminal
        session.
        """
        with self._database.transaction() as connection:
            parent = self.head(turn.thread) if after is None else after
            followed = self._database.rows("select thread from turns where id = ?", (parent,))
            thread = str(followed[0][0]) if followed else turn.thread
            parent = parent if followed else ""
            connection.execute(
                "insert into turns (id, thread, at, asked, replied, model, adapter, recalled, "
                "surprisal, prompt_tokens, stopped, asked_surprisal, why, parent, place) "
                "values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    turn.id,
                    thread,
                    turn.at.isoformat(),
                    turn.asked,
                    turn.replied,
                    turn.model,
                    turn.adapter,
                    json.dumps(turn.recalled),
                    json.dumps(turn.surprisal),
                    turn.prompt_tokens,
                    turn.stopped,
                    turn.asked_surprisal,
                    json.dumps([[name, score, list(stems)] for name, score, stems in why]),
                    parent,
                    place,
                ),
            )
            connection.execute("insert or replace into heads values (?, ?)", (thread, turn.id))
        return parent

    def place_of(self, turn: str) -> str:
        """Return the terminal session of a turn (full id); "" if it is not known."""
        rows = self._database.rows("select place from turns where id = ?", (turn,))
        return str(rows[0][0]) if rows else ""

    def latest_at(self, place: str) -> str:
        """Return the id of the latest turn of a terminal session, "" for none."""
        rows = self._database.rows(
            "select id from turns where place = ? order by seq desc limit 1", (place,)
        )
        return str(rows[0][0]) if rows else ""

    def head(self, thread: str) -> str:
        """Return the id of a thread's head, the last turn of its current branch; "" for none."""
        rows = self._database.rows(
            "select coalesce((select turn from heads where thread = :thread), "
            "(select id from turns where thread = :thread order by seq desc limit 1), '')",
            {"thread": thread},
        )
        return str(rows[0][0])

    def all(self) -> list[Turn]:
        """Return the turns of every thread, oldest first."""
        return self._database.decode(
            turn_of, self._database.rows("select * from turns order by seq")
        )

    def count(self) -> int:
        """Return how many turns there are in all threads."""
        return int(self._database.rows("select count(*) as number from turns")[0]["number"])

    def latest(self, limit: int) -> list[Turn]:
        """Return the latest `limit` turns of all threads, oldest first."""
        rows = self._database.rows("select * from turns order by seq desc limit ?", (limit,))
        return self._database.decode(turn_of, reversed(rows))

    def in_thread(self, thread: str, *, limit: int = -1) -> list[Turn]:
        """Return the latest `limit` turns (all if negative) of a thread, oldest first."""
        rows = self._database.rows(
            "select * from turns where thread = ? order by seq desc limit ?", (thread, limit)
        )
        return self._database.decode(turn_of, reversed(rows))

    def get(self, prefix: str) -> Turn:
        """Return the turn whose id starts with `prefix`.

        Raises:
            UnknownIdError: none does, or several do.
        """
        return self._database.decode(turn_of, [self._database.row_by_prefix("turns", prefix)])[0]

    def recall_trace(self, turn: str) -> list[RecallTraceRow]:
        """Return what was recalled for a turn; nothing for turns of old journals."""
        rows = self._database.rows("select why from turns where id = ?", (turn,))
        return [
            (name, score, tuple(stems)) for row in rows for name, score, stems in json.loads(row[0])
        ]

    def uses_of(self, identity: str) -> list[tuple[str, int]]:
        """Return (thread, turns) of the replies that had a difference in their context."""
        rows = self._database.rows(
            "select thread, count(*) as turns from turns where ? in "
            "(select value from json_each(case when json_valid(recalled) then recalled else '[]' end)) "
            "group by thread order by max(seq) desc",
            (identity,),
        )
        return [(row["thread"], row["turns"]) for row in rows]

    def search(self, text: str, limit: int = 100) -> list[Turn]:
        """Return the latest `limit` turns that contain every word of `text`, latest first.

        Case is ignored in any alphabet; SQLite's `like` does so for ASCII only.
        """
        words = text.casefold().split()
        found: list[str] = []
        for row in self._database.rows("select id, asked, replied from turns order by seq desc"):
            if len(found) == limit:
                break
            said = f"{row['asked']}\n{row['replied']}".casefold()
            if all(word in said for word in words):
                found.append(row["id"])
        return [self.get(identity) for identity in found]

    def parent(self, turn: str) -> str:
        """Return the id of the parent of a turn; "" at the start of a thread."""
        rows = self._database.rows("select parent from turns where id = ?", (turn,))
        return str(rows[0][0]) if rows else ""

    def before(self, turn: Turn) -> tuple[Message, ...]:
        """Return the conversation before a turn in its branch, as much as is stored with a mark."""
        rows = self._database.rows(
            f"{PATH} select asked, replied from turns join path using (id) "
            "where asked != '' order by path.step limit :limit",
            {"from": self.parent(turn.id), "limit": _BEFORE_TURNS},
        )
        kept: list[Message] = []
        room = BEFORE_CHARACTERS
        for row in rows:
            room -= len(row["asked"]) + len(row["replied"])
            if room < 0:
                break
            kept = [Message("user", row["asked"]), Message("assistant", row["replied"]), *kept]
        return tuple(kept)

    def next_surprisal(self, turn: Turn) -> float | None:
        """Return the surprisal of the user's message after a turn, if it was measured."""
        rows = self._database.rows(
            "select asked_surprisal from turns where parent = ? order by seq desc limit 1",
            (turn.id,),
        )
        return rows[0][0] if rows else None


def turn_of(row: sqlite3.Row) -> Turn:
    """Return the turn of a row."""
    return Turn(
        id=row["id"],
        thread=row["thread"],
        at=datetime.fromisoformat(row["at"]),
        asked=row["asked"],
        replied=row["replied"],
        model=row["model"],
        adapter=row["adapter"],
        recalled=tuple(json.loads(row["recalled"])),
        surprisal=tuple(json.loads(row["surprisal"])),
        prompt_tokens=row["prompt_tokens"],
        stopped=bool(row["stopped"]),
        asked_surprisal=row["asked_surprisal"],
    )
