"""The differences of the journal: marked, found by their words, edited, pinned, superseded.

An edit keeps the version before it. Every change grows the watermark in its own transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from memory.difference import Difference, State
from memory.journal.difference_rows import COLUMNS, difference_of, values_of
from memory.journal.turns import Turns
from memory.text.stemming import STEMMER, stems

_STEMMING_SECONDS = 300.0


class Marks(Turns):
    """The part of the journal that knows the differences."""

    def add_difference(self, difference: Difference) -> None:
        """Keep a difference; on return it is on disk."""
        marks = ",".join("?" * len(COLUMNS))
        with self._writing() as connection:
            connection.execute(
                f"insert into differences ({', '.join(COLUMNS)}) values ({marks})",
                values_of(difference),
            )
            connection.execute(
                "insert into stems (rowid, asked) values (last_insert_rowid(), ?)",
                (" ".join(stems(difference.asked)),),
            )
            connection.execute(COUNT_CHANGE)

    def differences(self) -> list[Difference]:
        """Return every difference, oldest first, superseded ones too."""
        return self._made(difference_of, self._rows("select * from differences order by seq"))

    def latest(self, limit: int) -> list[tuple[str, str, str]]:
        """Return (id, moment, beginning of what was asked) of the latest differences, latest first.

        Reads no more than it returns, however many there are: it is asked at every key.
        """
        rows = self._rows(
            "select id, moment, substr(asked, 1, 200) as asked from differences "
            "order by seq desc limit ?",
            (limit,),
        )
        return [(row["id"], row["moment"], row["asked"]) for row in rows]

    def count_differences(self, *states: State) -> int:
        """Return how many differences stand in one of `states`; superseded ones do not count."""
        marks = ",".join("?" * len(states))
        rows = self._rows(
            "select count(*) as n from differences "
            f"where state in ({marks}) and superseded_by is null",
            [state.value for state in states],
        )
        return int(rows[0]["n"])

    def difference(self, prefix: str) -> Difference:
        """Return the difference whose id starts with `prefix`.

        Raises:
            UnknownIdError: none does, or several do.
        """
        return self._made(difference_of, [self._one("differences", prefix)])[0]

    def found(self, identities: Sequence[str]) -> list[Difference]:
        """Return the differences with these whole ids, in their order; unknown ids are left out."""
        marks = ",".join("?" * len(identities))
        rows = self._rows(f"select * from differences where id in ({marks})", identities)
        by_id = {item.id: item for item in self._made(difference_of, rows)}
        return [by_id[identity] for identity in identities if identity in by_id]

    def of_turns(self, turns: Sequence[str]) -> list[Difference]:
        """Return the differences that were marked on these turns (whole ids), oldest first."""
        marks = ",".join("?" * len(turns))
        rows = self._rows(f"select * from differences where turn in ({marks}) order by seq", turns)
        return self._made(difference_of, rows)

    def replace_difference(self, difference: Difference) -> None:
        """Put a new version in place of the difference with the same id; the old one is kept."""
        changed = ", ".join(f"{name} = ?" for name in COLUMNS)
        with self._writing() as connection:
            row = connection.execute(
                "select * from differences where id = ?", (difference.id,)
            ).fetchone()
            body = {name: row[name] for name in COLUMNS}
            connection.execute(
                "insert or replace into versions values (?, ?, ?)",
                (difference.id, row["version"], json.dumps(body)),
            )
            connection.execute(
                f"update differences set {changed} where id = ?",
                (*values_of(difference), difference.id),
            )
            connection.execute(COUNT_CHANGE)

    def versions(self, difference: str) -> list[Difference]:
        """Return the earlier versions of a difference, oldest first."""
        rows = self._rows(
            "select body from versions where difference = ? order by version", (difference,)
        )
        return self._made(lambda row: difference_of(json.loads(row["body"])), rows)

    def set_pinned(self, difference: str, pinned: bool) -> None:
        """Pin a difference, or not."""
        with self._writing() as connection:
            connection.execute(
                "update differences set pinned = ? where id = ?", (pinned, difference)
            )
            connection.execute(COUNT_CHANGE)

    def set_superseded(self, difference: str, by: str | None) -> None:
        """Record what took a difference's place; None puts it back in force."""
        with self._writing() as connection:
            connection.execute(
                "update differences set superseded_by = ? where id = ?", (by, difference)
            )
            connection.execute(COUNT_CHANGE)

    def set_states(self, states: dict[str, State]) -> None:
        """Record where the given differences (id → state) stand."""
        with self._writing() as connection:
            connection.executemany(
                "update differences set state = ? where id = ?",
                [(state.value, difference) for difference, state in states.items()],
            )
            connection.execute(COUNT_CHANGE)

    def set_next_surprisal(self, turn: str, value: float) -> None:
        """Record how surprising the user's words after a turn were, in nats a token."""
        with self._writing() as connection:
            connection.execute(
                "update differences set next_surprisal = ? where turn = ?", (value, turn)
            )

    def count_recalled(self, identities: Iterable[str]) -> None:
        """Count one more turn for each of the differences that stood in its context."""
        with self._writing() as connection:
            connection.executemany(
                "update differences set recalled = recalled + 1 where id = ?",
                [(identity,) for identity in identities],
            )

    # --- by words ----------------------------------------------------------------------------

    def search(self, words: Sequence[str], limit: int) -> list[str]:
        """Return the ids of the differences that share stems with `words`, best (BM25) first."""
        if not words:
            return []
        query = " OR ".join(f'"{word}"' for word in dict.fromkeys(words) if '"' not in word)
        rows = self._rows(
            "select d.id from (select rowid, bm25(stems) as rank from stems where stems match ? "
            "order by rank limit ?) as best join differences d on d.seq = best.rowid "
            "where d.superseded_by is null order by best.rank",
            (query, limit),
        )
        return [row["id"] for row in rows]

    def stem_counts(self, words: Sequence[str]) -> tuple[int, dict[str, int]]:
        """Return the number of differences and, of each stem, in how many of them it stands."""
        unique = list(dict.fromkeys(words))
        marks = ",".join("?" * len(unique))
        rows = self._rows(f"select term, doc from stem_counts where term in ({marks})", unique)
        # The highest number stands for the count, which SQLite would walk the whole table for.
        total = self._rows("select coalesce(max(seq), 0) as n from differences")[0]["n"]
        return int(total), {row["term"]: int(row["doc"]) for row in rows}

    def stems_from(self, start: str, limit: int = 2000) -> list[str]:
        """Return the stems in use that begin with `start`."""
        rows = self._rows(
            "select term from stem_counts where term >= ? and term < ? limit ?",
            (start, start + "\U0010ffff", limit),
        )
        return [row["term"] for row in rows]

    def refresh_stems(self) -> int:
        """Stem everything anew when the stemmer changed since; returns how many were stemmed."""
        if self._stemmed():
            return 0
        # Another process may be at it already: 100,000 differences take it some ten seconds.
        with self._patience(_STEMMING_SECONDS), self._writing() as connection:
            if self._stemmed():
                return 0
            connection.execute("delete from stems")
            rows = connection.execute("select seq, asked from differences").fetchall()
            connection.executemany(
                "insert into stems (rowid, asked) values (?, ?)",
                ((row["seq"], " ".join(stems(row["asked"]))) for row in rows),
            )
            connection.execute("insert or replace into facts values ('stemmer', ?)", (STEMMER,))
            connection.execute(COUNT_CHANGE)
        return len(rows)

    def _stemmed(self) -> bool:
        rows = self._rows("select value from facts where name = 'stemmer'")
        return bool(rows) and rows[0]["value"] == STEMMER

    def watermark(self) -> int:
        """Return a number that grows with every change to what is marked."""
        rows = self._rows("select value from facts where name = 'changes'")
        return int(rows[0]["value"]) if rows else 0


COUNT_CHANGE = (
    "insert into facts values ('changes', '1') on conflict (name) do update "
    "set value = cast(cast(value as integer) + 1 as text)"
)
