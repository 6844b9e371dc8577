"""How much of the journal an index covers: a cursor that the index stores beside its vectors."""

from __future__ import annotations

from dataclasses import dataclass
from sqlite3 import Row

from memory.journal.journal import Journal


@dataclass(frozen=True, slots=True)
class Cursor:
    """The number and id of the last difference in an index, and how many it holds."""

    top: int
    id: str
    count: int

    def __str__(self) -> str:
        return f"{self.top} {self.id} {self.count}"

    @classmethod
    def of(cls, journal: Journal) -> Cursor:
        """Return the cursor of the whole journal."""
        [row] = journal.database.rows(
            "select count(*) as n, coalesce(max(seq), 0) as top, coalesce((select id from "
            "differences order by seq desc limit 1), '') as id from differences"
        )
        return cls(row["top"], row["id"], row["n"])

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Return the cursor that `text` holds; that of an empty journal for any other text."""
        parts = text.split(" ")
        if len(parts) == 3 and parts[0].isdecimal() and parts[2].isdecimal():
            return cls(int(parts[0]), parts[1], int(parts[2]))
        return cls(0, "", 0)

    def is_in(self, journal: Journal) -> bool:
        """Whether the journal still has its difference at this position."""
        return bool(
            journal.database.rows(
                "select 1 from differences where seq = ? and id = ?", (self.top, self.id)
            )
        )


def between(journal: Journal, after: int, to: int) -> list[Row]:
    """Return (seq, id, asked) of the differences numbered after `after` up to `to`, in order."""
    return journal.database.rows(
        "select seq, id, asked from differences where seq > ? and seq <= ? order by seq",
        (after, to),
    )
