"""The differences of the journal: marked, found by their words, edited, pinned, superseded, forgotten.

An edit keeps the version before it. Forgetting leaves no text: not of the difference, not of its
versions, not of the turn it was marked on, not in what later marks remember of the talk before them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from memory.difference import Difference, State, now
from memory.rows import COLUMNS, difference_of, values_of
from memory.turns import Turns
from memory.words import STEMMER, stems


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

    def differences(self) -> list[Difference]:
        """Return every difference, oldest first, superseded ones too."""
        return [difference_of(row) for row in self._rows("select * from differences order by seq")]

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
        return difference_of(self._one("differences", prefix))

    def found(self, identities: Sequence[str]) -> list[Difference]:
        """Return the differences with these whole ids, in their order; unknown ids are left out."""
        marks = ",".join("?" * len(identities))
        rows = self._rows(f"select * from differences where id in ({marks})", identities)
        by_id = {row["id"]: difference_of(row) for row in rows}
        return [by_id[identity] for identity in identities if identity in by_id]

    def of_turns(self, turns: Sequence[str]) -> list[Difference]:
        """Return the differences that were marked on these turns (whole ids), oldest first."""
        marks = ",".join("?" * len(turns))
        rows = self._rows(f"select * from differences where turn in ({marks}) order by seq", turns)
        return [difference_of(row) for row in rows]

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

    def versions(self, difference: str) -> list[Difference]:
        """Return the earlier versions of a difference, oldest first."""
        rows = self._rows(
            "select body from versions where difference = ? order by version", (difference,)
        )
        return [difference_of(json.loads(row["body"])) for row in rows]

    def set_pinned(self, difference: str, pinned: bool) -> None:
        """Pin a difference, or not."""
        with self._writing() as connection:
            connection.execute(
                "update differences set pinned = ? where id = ?", (pinned, difference)
            )

    def set_superseded(self, difference: str, by: str | None) -> None:
        """Record what took a difference's place; None puts it back in force."""
        with self._writing() as connection:
            connection.execute(
                "update differences set superseded_by = ? where id = ?", (by, difference)
            )
            connection.execute(_COUNT_CHANGE)

    def set_states(self, states: dict[str, State]) -> None:
        """Record where the given differences (id → state) stand."""
        with self._writing() as connection:
            connection.executemany(
                "update differences set state = ? where id = ?",
                [(state.value, difference) for difference, state in states.items()],
            )

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

    def remove_mark(self, difference: Difference) -> None:
        """Take a mark and its versions out; the turn it was made on stays."""
        gone = (difference.id,)
        with self._writing() as connection:
            connection.execute(
                "delete from stems where rowid = (select seq from differences where id = ?)", gone
            )
            connection.execute("delete from differences where id = ?", gone)
            connection.execute("delete from versions where difference = ?", gone)
            connection.execute(
                "insert or ignore into forgotten values (?, ?)", (*gone, now().isoformat())
            )
            # A removed row would otherwise leave its words in FTS5's older segments.
            connection.execute("insert into stems (stems) values ('optimize')")
            connection.execute(_COUNT_CHANGE)

    def forget(self, difference: Difference) -> None:
        """Remove a difference and its text for good, the turn's too unless another mark needs it."""
        with self._writing() as connection:
            self.remove_mark(difference)
            shared = connection.execute(
                "select 1 from differences where turn = ? limit 1", (difference.turn,)
            ).fetchone()
            if shared is None:
                connection.execute(
                    "update turns set asked = '', replied = '', surprisal = '[]', why = '[]' "
                    "where id = ?",
                    (difference.turn,),
                )
                self._leave_out_of_talk(connection, difference)
            connection.execute(
                "delete from quarantine where json_extract(body, '$.asked') = ? "
                "and json_extract(body, '$.replied') = ?",
                (difference.asked, difference.replied),
            )
        self.fold_log()

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

    def forgotten(self) -> list[str]:
        """Return the ids of what was forgotten or taken back; no text of it is left."""
        return [row["id"] for row in self._rows("select id from forgotten order by at")]

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
        known = self._rows("select value from facts where name = 'stemmer'")
        if known and known[0]["value"] == STEMMER:
            return 0
        with self._writing() as connection:
            connection.execute("delete from stems")
            rows = connection.execute("select seq, asked from differences").fetchall()
            connection.executemany(
                "insert into stems (rowid, asked) values (?, ?)",
                ((row["seq"], " ".join(stems(row["asked"]))) for row in rows),
            )
            connection.execute("insert or replace into facts values ('stemmer', ?)", (STEMMER,))
            connection.execute(_COUNT_CHANGE)
        return len(rows)

    def watermark(self) -> tuple[int, int]:
        """Return a pair that changes with every difference added, forgotten or superseded."""
        row = self._rows(
            "select (select coalesce(max(seq), 0) from differences) as top, "
            "(select count(*) from differences) as n, "
            "(select coalesce(max(value), '0') from facts where name = 'forgotten') as gone"
        )[0]
        return int(row["top"]) + int(row["gone"]), int(row["n"])


_COUNT_CHANGE = (
    "insert into facts values ('forgotten', '1') on conflict (name) do update "
    "set value = cast(cast(value as integer) + 1 as text)"
)


def _without(before: str, gone: Difference) -> str:
    """Return the JSON of a talk without the forgotten question and reply."""
    messages = [list(item) for item in json.loads(before)]
    pair = [["user", gone.asked], ["assistant", gone.replied]]
    for place in range(len(messages) - 1, -1, -1):
        if messages[place : place + 2] == pair:
            del messages[place : place + 2]
    return json.dumps(messages)
