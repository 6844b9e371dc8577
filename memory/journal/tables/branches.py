"""The branches of a thread: asking a message again, or editing it, starts a new branch.

Each turn knows its parent; turns with the same parent are siblings. A thread has a head, and the path
back from there is its current branch: what is shown, what the model sees, what `discern ask
--continue` continues. Choosing another branch loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from memory.difference import Turn
from memory.errors import UnknownIdError
from memory.journal.database import Database
from memory.journal.tables.turns import PATH, Turns, turn_of

_ALL = 1 << 40


@dataclass(frozen=True, slots=True)
class Siblings:
    """The turns (ids, oldest first) with the same parent, and the index of this one."""

    turns: tuple[str, ...]
    at: int

    def beside(self, step: int) -> str | None:
        """Return the sibling `step` places away; None beyond the first or the last."""
        place = self.at + step
        return self.turns[place] if 0 <= place < len(self.turns) else None

    def __str__(self) -> str:
        return f"{self.at + 1}/{len(self.turns)}"


class Branches:
    """The tree of turns in each thread."""

    def __init__(self, database: Database, turns: Turns) -> None:
        self._database = database
        self._turns = turns

    def current(
        self, thread: str, *, limit: int = -1, last: str | None = None, before: str | None = None
    ) -> list[Turn]:
        """Return the latest `limit` turns (all if negative) of the current branch, oldest first.

        With `last` (a turn's id) those up to it, with `before` those ahead of it. The cost depends on
        what is returned, not on the length of the thread.
        """
        if last is None:
            last = self._turns.head(thread) if before is None else self._turns.parent(before)
        return self.up_to(last, limit=limit)

    def up_to(self, last: str, *, limit: int = -1) -> list[Turn]:
        """Return the latest `limit` turns (all if negative) of the branch that ends with `last`."""
        if limit == 0:
            return []
        rows = self._database.rows(
            f"{PATH} select turns.* from path join turns using (id) order by path.step desc",
            {"from": last, "limit": limit if limit > 0 else _ALL},
        )
        return self._database.decode(turn_of, rows)

    def count_asked(self, last: str) -> int:
        """Return the number of turns with a user message in the branch that ends with `last`."""
        rows = self._database.rows(
            f"{PATH} select count(*) from path join turns using (id) where asked != ''",
            {"from": last, "limit": _ALL},
        )
        return int(rows[0][0])

    def contains(self, thread: str, turn: str) -> bool:
        """Whether a turn is in the current branch of a thread."""
        rows = self._database.rows(
            f"{PATH} select 1 from path where id = :turn",
            {"from": self._turns.head(thread), "limit": _ALL, "turn": turn},
        )
        return bool(rows)

    def siblings(self, turns: list[str]) -> dict[str, Siblings]:
        """Return the siblings of those of these turns that have any."""
        wanted = ",".join("?" * len(turns))
        rows = self._database.rows(
            "select one.id as id, other.id as other from turns one join turns other "
            "on other.parent = one.parent and other.thread = one.thread and other.asked != '' "
            f"where one.id in ({wanted}) order by other.seq",
            turns,
        )
        groups: dict[str, list[str]] = {}
        for row in rows:
            groups.setdefault(row["id"], []).append(row["other"])
        return {
            identity: Siblings(tuple(group), group.index(identity))
            for identity, group in groups.items()
            if len(group) > 1 and identity in group
        }

    def choose(self, turn: str) -> str:
        """Move the head of the turn's thread to the latest descendant of the turn; return its id.

        Raises:
            UnknownIdError: there is no such turn.
        """
        with self._database.transaction() as connection:
            rows = self._database.rows(
                "with recursive below(id, seq, thread) as ("
                "select id, seq, thread from turns where id = ? "
                "union all select t.id, t.seq, t.thread from below join turns t "
                "on t.parent = below.id) select id, thread from below order by seq desc limit 1",
                (turn,),
            )
            if not rows:
                raise UnknownIdError(
                    "no turn has the id {turn!r}; it may have been forgotten", turn=turn
                )
            connection.execute(
                "insert or replace into heads values (?, ?)", (rows[0]["thread"], rows[0]["id"])
            )
            return str(rows[0]["id"])
