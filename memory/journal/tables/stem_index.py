"""The full-text index of the differences: the stems of what was asked, ranked by SQLite's FTS5."""

from __future__ import annotations

from collections.abc import Sequence

from memory.journal.database import Database
from memory.journal.tables.facts import count_change
from memory.text.stemming import STEMMER, stems

_STEMMING_SECONDS = 300.0


class StemIndex:
    """The stems of all differences."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def search(self, words: Sequence[str], limit: int) -> list[str]:
        """Return the ids of the differences that share stems with `words`, best first (BM25)."""
        if not words:
            return []
        query = " OR ".join(f'"{word}"' for word in dict.fromkeys(words) if '"' not in word)
        rows = self._database.rows(
            "select d.id from (select rowid, bm25(stems) as rank from stems where stems match ? "
            "order by rank limit ?) as best join differences d on d.seq = best.rowid "
            "where d.superseded_by is null order by best.rank",
            (query, limit),
        )
        return [row["id"] for row in rows]

    def counts(self, words: Sequence[str]) -> tuple[int, dict[str, int]]:
        """Return the number of differences, and for each stem in how many of them it occurs."""
        unique = list(dict.fromkeys(words))
        marks = ",".join("?" * len(unique))
        rows = self._database.rows(
            f"select term, doc from stem_counts where term in ({marks})", unique
        )
        # The highest row number approximates the count, for which SQLite would scan the table.
        total = self._database.rows("select coalesce(max(seq), 0) as n from differences")[0]["n"]
        return int(total), {row["term"]: int(row["doc"]) for row in rows}

    def starting_with(self, start: str, limit: int = 2000) -> list[str]:
        """Return the stems in use that begin with `start`."""
        rows = self._database.rows(
            "select term from stem_counts where term >= ? and term < ? limit ?",
            (start, start + "\U0010ffff", limit),
        )
        return [row["term"] for row in rows]

    def refresh(self) -> int:
        """Rebuild the index if the stemmer has changed; return how many differences were stemmed."""
        if self._is_current():
            return 0
        # Another process may be doing it already: 100,000 differences take about ten seconds.
        with (
            self._database.busy_timeout(_STEMMING_SECONDS),
            self._database.transaction() as connection,
        ):
            if self._is_current():
                return 0
            connection.execute("delete from stems")
            rows = connection.execute("select seq, asked from differences").fetchall()
            connection.executemany(
                "insert into stems (rowid, asked) values (?, ?)",
                ((row["seq"], " ".join(stems(row["asked"]))) for row in rows),
            )
            connection.execute("insert or replace into facts values ('stemmer', ?)", (STEMMER,))
            count_change(connection)
        return len(rows)

    def _is_current(self) -> bool:
        rows = self._database.rows("select value from facts where name = 'stemmer'")
        return bool(rows) and rows[0]["value"] == STEMMER
