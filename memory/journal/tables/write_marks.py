"""Where marks are written to disk and read back: the journal's tables of differences and versions.

A new difference is inserted only here. An edit keeps the previous version. Every change increases the
change counter in its own transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from datetime import datetime
from typing import Any

from memory.difference import (
    STANDING,
    Contrast,
    Difference,
    MarkScope,
    Message,
    Moment,
    Span,
    State,
)
from memory.journal.database import Database
from memory.journal.tables.facts import change_count, count_change
from memory.text.stemming import stems

_COLUMNS = (
    "id", "turn", "thread", "at", "moment", "kind", "asked", "replied", "missed", "lost", "sounds",
    "note", "span", "model", "adapter", "state", "before", "surprisal", "next_surprisal", "version",
    "edited", "pinned", "superseded_by", "recalled", "scope", "condition",
    "rules",
)  # fmt: skip
"""The columns of `differences` except its sequence number, in the order of `_values_of`."""
_LATER = ("scope", "condition", "rules")


class Differences:
    """The tables of differences and their earlier versions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, difference: Difference) -> None:
        """Store a difference; on return it is on disk."""
        placeholders = ",".join("?" * len(_COLUMNS))
        with self._database.transaction() as connection:
            connection.execute(
                f"insert into differences ({', '.join(_COLUMNS)}) values ({placeholders})",
                _values_of(difference),
            )
            connection.execute(
                "insert into stems (rowid, asked) values (last_insert_rowid(), ?)",
                (" ".join(stems(difference.asked)),),
            )
            count_change(connection)

    def all(self) -> list[Difference]:
        """Return every difference, oldest first, including superseded ones."""
        return self._database.decode(
            difference_of, self._database.rows("select * from differences order by seq")
        )

    def latest(self, limit: int) -> list[tuple[str, str, str]]:
        """Return (id, moment, beginning of what was asked) of the latest differences, latest first.

        Fast even with many differences: completion calls it at every key.
        """
        rows = self._database.rows(
            "select id, moment, substr(asked, 1, 200) as asked from differences "
            "order by seq desc limit ?",
            (limit,),
        )
        return [(row["id"], row["moment"], row["asked"]) for row in rows]

    def count(self, *states: State) -> int:
        """Return the number of differences in one of `states`, without superseded ones."""
        placeholders = ",".join("?" * len(states))
        rows = self._database.rows(
            "select count(*) as n from differences "
            f"where state in ({placeholders}) and superseded_by is null",
            [state.value for state in states],
        )
        return int(rows[0]["n"])

    def get(self, prefix: str) -> Difference:
        """Return the difference whose id starts with `prefix`.

        Raises:
            UnknownIdError: none does, or several do.
        """
        return self._database.decode(
            difference_of, [self._database.row_by_prefix("differences", prefix)]
        )[0]

    def by_ids(self, identities: Sequence[str]) -> list[Difference]:
        """Return the differences with these full ids, in their order; unknown ids are skipped."""
        placeholders = ",".join("?" * len(identities))
        rows = self._database.rows(
            f"select * from differences where id in ({placeholders})", identities
        )
        by_id = {item.id: item for item in self._database.decode(difference_of, rows)}
        return [by_id[identity] for identity in identities if identity in by_id]

    def standing(self) -> list[Difference]:
        """Return the differences that apply to more than their question's subject, oldest first."""
        placeholders = ",".join("?" * len(STANDING))
        rows = self._database.rows(
            f"select * from differences where scope in ({placeholders}) and superseded_by is null "
            "order by seq",
            [scope.value for scope in STANDING],
        )
        return self._database.decode(difference_of, rows)

    def questions(self, identities: Sequence[str]) -> list[str]:
        """Return what was asked in the differences with these full ids; unknown ids are skipped."""
        return [item.asked for item in self.by_ids(identities)]

    def on_turns(self, turns: Sequence[str]) -> list[Difference]:
        """Return the differences that mark these turns (full ids), oldest first."""
        placeholders = ",".join("?" * len(turns))
        rows = self._database.rows(
            f"select * from differences where turn in ({placeholders}) order by seq", turns
        )
        return self._database.decode(difference_of, rows)

    def replace(self, difference: Difference) -> None:
        """Replace the difference that has the same id; keep the old version."""
        changed = ", ".join(f"{name} = ?" for name in _COLUMNS)
        with self._database.transaction() as connection:
            row = connection.execute(
                "select * from differences where id = ?", (difference.id,)
            ).fetchone()
            body = {name: row[name] for name in _COLUMNS}
            connection.execute(
                "insert or replace into versions values (?, ?, ?)",
                (difference.id, row["version"], json.dumps(body)),
            )
            connection.execute(
                f"update differences set {changed} where id = ?",
                (*_values_of(difference), difference.id),
            )
            count_change(connection)

    def versions(self, difference: str) -> list[Difference]:
        """Return the earlier versions of a difference, oldest first."""
        rows = self._database.rows(
            "select body from versions where difference = ? order by version", (difference,)
        )
        return self._database.decode(lambda row: difference_of(json.loads(row["body"])), rows)

    def set_pinned(self, difference: str, pinned: bool) -> None:
        """Pin or unpin a difference."""
        with self._database.transaction() as connection:
            connection.execute(
                "update differences set pinned = ? where id = ?", (pinned, difference)
            )
            count_change(connection)

    def set_superseded(self, difference: str, by: str | None) -> None:
        """Record which difference supersedes this one; None for none."""
        with self._database.transaction() as connection:
            connection.execute(
                "update differences set superseded_by = ? where id = ?", (by, difference)
            )
            count_change(connection)

    def set_states(self, states: dict[str, State]) -> None:
        """Set the state of each given difference (id → state)."""
        with self._database.transaction() as connection:
            connection.executemany(
                "update differences set state = ? where id = ?",
                [(state.value, difference) for difference, state in states.items()],
            )
            count_change(connection)

    def set_next_surprisal(self, turn: str, value: float) -> None:
        """Set the surprisal of the user's words after a turn, in nats per token."""
        with self._database.transaction() as connection:
            connection.execute(
                "update differences set next_surprisal = ? where turn = ?", (value, turn)
            )

    def count_recalled(self, identities: Iterable[str]) -> None:
        """Count one more turn for each of these differences, which were in its context."""
        with self._database.transaction() as connection:
            connection.executemany(
                "update differences set recalled = recalled + 1 where id = ?",
                [(identity,) for identity in identities],
            )

    def change_count(self) -> int:
        """Return a number that increases with every change to the differences."""
        return change_count(self._database)


def _values_of(item: Difference) -> tuple[Any, ...]:
    """Return a difference as the values of _COLUMNS."""
    span = item.span
    return (
        item.id,
        item.turn,
        item.thread,
        item.at.isoformat(),
        item.moment.value,
        item.kind,
        item.asked,
        item.replied,
        item.contrast.missed,
        item.contrast.lost,
        item.contrast.sounds,
        item.note,
        json.dumps(astuple(span)) if span else None,
        item.model,
        item.adapter,
        item.state.value,
        json.dumps([[message.role, message.content] for message in item.before]),
        item.surprisal,
        item.next_surprisal,
        item.version,
        item.edited.isoformat() if item.edited else None,
        int(item.pinned),
        item.superseded_by,
        item.recalled,
        item.scope.value,
        item.condition,
        None if item.rules is None else "\n".join(item.rules),
    )


def difference_of(row: sqlite3.Row | Mapping[str, Any]) -> Difference:
    """Return the difference that a row (or a kept version of one) describes."""
    span = json.loads(row["span"]) if row["span"] else None
    # Versions that were kept before scopes or rules existed lack them.
    later = {name: row[name] if name in row.keys() else None for name in _LATER}  # noqa: SIM118
    return Difference(
        id=row["id"],
        turn=row["turn"],
        thread=row["thread"],
        at=datetime.fromisoformat(row["at"]),
        moment=Moment(row["moment"]),
        asked=row["asked"],
        replied=row["replied"],
        kind=row["kind"],
        contrast=Contrast(row["missed"], row["lost"], row["sounds"]),
        note=row["note"],
        span=Span(*span) if span else None,
        model=row["model"],
        adapter=row["adapter"],
        state=State(row["state"]),
        before=tuple(Message(role, content) for role, content in json.loads(row["before"])),
        surprisal=row["surprisal"],
        next_surprisal=row["next_surprisal"],
        version=row["version"],
        edited=datetime.fromisoformat(row["edited"]) if row["edited"] else None,
        pinned=bool(row["pinned"]),
        superseded_by=row["superseded_by"],
        recalled=row["recalled"],
        scope=MarkScope(later["scope"] or MarkScope.HERE),
        condition=later["condition"],
        rules=None if later["rules"] is None else tuple(later["rules"].splitlines()),
    )
