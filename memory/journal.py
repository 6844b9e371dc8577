"""The journal: one SQLite file with every turn, difference and night. The truth.

Several processes open it at once (chat, night, command line): WAL, `synchronous=FULL`, a busy timeout
of ten seconds, one short transaction per change. When a method that writes has returned, what it
wrote is on disk. Migrations are small functions in order; the number of those applied is SQLite's
`user_version`. A journal from a newer Discern is refused rather than guessed at.

Forgetting removes the text: `secure_delete` is on, so the bytes are overwritten in the file.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from memory.difference import Contrast, Difference, Moment, Span, State, Turn, now
from memory.errors import HomeError, UnknownIdError
from memory.words import stems


def _first(connection: sqlite3.Connection) -> None:
    connection.execute(
        """create table turns (
            seq integer primary key, id text unique not null, thread text not null, at text not null,
            asked text not null, replied text not null, model text not null, adapter text,
            recalled text not null, surprisal text not null, prompt_tokens integer not null,
            stopped integer not null) strict"""
    )
    connection.execute("create index turns_by_thread on turns (thread, seq)")
    connection.execute(
        """create table differences (
            seq integer primary key, id text unique not null, turn text not null,
            thread text not null, at text not null, moment text not null, kind text,
            asked text not null, replied text not null, missed text, lost text, sounds text,
            note text, span text, model text not null, adapter text, state text not null) strict"""
    )
    connection.execute(
        """create table nights (
            day text primary key, state text not null, attempt integer not null,
            started text not null, beat text not null, owner text not null, outcome text) strict"""
    )
    connection.execute("create table facts (name text primary key, value text not null) strict")
    # Stems, not text: FTS5 counts and ranks them, Snowball has already done what language needs.
    connection.execute("create virtual table stems using fts5 (asked, tokenize = 'unicode61')")
    connection.execute("create virtual table stem_counts using fts5vocab ('stems', 'row')")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first,)


class Journal:
    """An open journal. Usable from any thread of the process; close it, or use it with `with`."""

    def __init__(self, path: Path) -> None:
        """Open or make the file at `path`, whose folder must exist.

        Raises:
            HomeError: it cannot be opened or written, is damaged, or is from a newer Discern.
        """
        self.path = path
        self._lock = threading.RLock()
        with self._explained():
            self._connection = sqlite3.connect(
                path, timeout=10, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            for pragma in (
                "journal_mode=wal",
                "synchronous=full",
                "foreign_keys=on",
                "secure_delete=on",
            ):
                self._connection.execute(f"pragma {pragma}")
            self._migrate()

    def _migrate(self) -> None:
        with self._writing() as connection:
            version = int(connection.execute("pragma user_version").fetchone()[0])
            if version > len(MIGRATIONS):
                raise HomeError(
                    f"the journal {self.path} was written by a newer Discern (version {version}, "
                    f"this one knows {len(MIGRATIONS)}); update Discern to open it"
                )
            for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
                migration(connection)
                connection.execute(f"pragma user_version={number}")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise HomeError(
                f"cannot use the journal {self.path}: {error}; what was kept before is untouched, "
                "check free space and permissions of its folder"
            ) from error

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """Return one transaction for `with`; what writes inside it joins it, all or nothing."""
        return self._writing()

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return the rows of a question in SQL; for rooms that keep a table of their own here."""
        return self._rows(sql, values)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained():
            if self._connection.in_transaction:  # begun further out, by this thread: the lock says so
                yield self._connection
                return
            self._connection.execute("begin immediate")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    def _rows(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        with self._lock, self._explained():
            return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # --- turns -------------------------------------------------------------------------------

    def add_turn(self, turn: Turn) -> None:
        """Keep a turn."""
        with self._writing() as connection:
            connection.execute(
                "insert into turns (id, thread, at, asked, replied, model, adapter, recalled, "
                "surprisal, prompt_tokens, stopped) values (?,?,?,?,?,?,?,?,?,?,?)",
                (
                    turn.id,
                    turn.thread,
                    turn.at.isoformat(),
                    turn.asked,
                    turn.replied,
                    turn.model,
                    turn.adapter,
                    json.dumps(turn.recalled),
                    json.dumps(turn.surprisal),
                    turn.prompt_tokens,
                    turn.stopped,
                ),
            )

    def turns(self, thread: str | None = None, *, limit: int = -1) -> list[Turn]:
        """Return the latest `limit` turns (all when negative), oldest first; of one thread or all."""
        where, values = ("where thread = ?", [thread]) if thread is not None else ("", [])
        rows = self._rows(
            f"select * from turns {where} order by seq desc limit ?", [*values, limit]
        )
        return [_turn(row) for row in reversed(rows)]

    def turn(self, prefix: str) -> Turn:
        """Return the turn whose id starts with `prefix`.

        Raises:
            UnknownIdError: none does, or several do.
        """
        return _turn(self._one("turns", prefix))

    def threads(self) -> list[tuple[str, int, datetime]]:
        """Return (name, turns, last turn) of each thread, the latest first."""
        rows = self._rows(
            "select thread, count(*) as turns, max(at) as at from turns "
            "group by thread order by max(seq) desc"
        )
        return [(row["thread"], row["turns"], datetime.fromisoformat(row["at"])) for row in rows]

    # --- differences -------------------------------------------------------------------------

    def add_difference(self, difference: Difference) -> None:
        """Keep a difference; on return it is on disk."""
        span = difference.span
        with self._writing() as connection:
            connection.execute(
                "insert into differences (id, turn, thread, at, moment, kind, asked, replied, "
                "missed, lost, sounds, note, span, model, adapter, state) "
                "values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    difference.id,
                    difference.turn,
                    difference.thread,
                    difference.at.isoformat(),
                    difference.moment.value,
                    difference.kind,
                    difference.asked,
                    difference.replied,
                    difference.contrast.missed,
                    difference.contrast.lost,
                    difference.contrast.sounds,
                    difference.note,
                    json.dumps([span.start, span.end, span.quote]) if span else None,
                    difference.model,
                    difference.adapter,
                    difference.state.value,
                ),
            )
            connection.execute(
                "insert into stems (rowid, asked) values (last_insert_rowid(), ?)",
                (" ".join(stems(difference.asked)),),
            )

    def differences(self) -> list[Difference]:
        """Return every difference, oldest first."""
        return [_difference(row) for row in self._rows("select * from differences order by seq")]

    def count_differences(self, *states: State) -> int:
        """Return how many differences stand in one of `states`."""
        marks = ",".join("?" * len(states))
        rows = self._rows(
            f"select count(*) as n from differences where state in ({marks})",
            [state.value for state in states],
        )
        return int(rows[0]["n"])

    def difference(self, prefix: str) -> Difference:
        """Return the difference whose id starts with `prefix`.

        Raises:
            UnknownIdError: none does, or several do.
        """
        return _difference(self._one("differences", prefix))

    def found(self, identities: Sequence[str]) -> list[Difference]:
        """Return the differences with these whole ids, in their order; unknown ids are left out."""
        marks = ",".join("?" * len(identities))
        rows = self._rows(f"select * from differences where id in ({marks})", identities)
        by_id = {row["id"]: _difference(row) for row in rows}
        return [by_id[identity] for identity in identities if identity in by_id]

    def forget(self, difference: str) -> None:
        """Remove a difference and its text for good."""
        with self._writing() as connection:
            connection.execute(
                "delete from stems where rowid = (select seq from differences where id = ?)",
                (difference,),
            )
            connection.execute("delete from differences where id = ?", (difference,))
            # A forgotten row would otherwise leave its words in FTS5's older segments.
            connection.execute("insert into stems (stems) values ('optimize')")
            connection.execute(_COUNT_CHANGE)
        # The text also stands in the write-ahead log until that is folded into the file.
        with self._lock, self._explained():
            self._connection.execute("pragma wal_checkpoint(truncate)")

    def search(self, words: Sequence[str], limit: int) -> list[str]:
        """Return the ids of the differences that share stems with `words`, best (BM25) first."""
        if not words:
            return []
        query = " OR ".join(f'"{word}"' for word in dict.fromkeys(words) if '"' not in word)
        rows = self._rows(
            "select d.id from (select rowid, bm25(stems) as rank from stems where stems match ? "
            "order by rank limit ?) as best join differences d on d.seq = best.rowid "
            "order by best.rank",
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

    def set_states(self, states: dict[str, State]) -> None:
        """Record where the given differences (id → state) stand."""
        with self._writing() as connection:
            connection.executemany(
                "update differences set state = ? where id = ?",
                [(state.value, difference) for difference, state in states.items()],
            )

    def watermark(self) -> tuple[int, int]:
        """Return a pair that changes with every difference added or forgotten."""
        row = self._rows(
            "select (select coalesce(max(seq), 0) from differences) as top, "
            "(select count(*) from differences) as n, "
            "(select coalesce(max(value), '0') from facts where name = 'forgotten') as gone"
        )[0]
        return int(row["top"]) + int(row["gone"]), int(row["n"])

    def check(self) -> str | None:
        """Return what SQLite finds wrong with the file; None when it is whole."""
        said = str(self._rows("pragma quick_check(1)")[0][0])
        return None if said == "ok" else said

    # --- small facts and nights --------------------------------------------------------------

    def fact(self, name: str) -> str | None:
        """Return a remembered value, such as the thread last spoken in."""
        rows = self._rows("select value from facts where name = ?", (name,))
        return str(rows[0]["value"]) if rows else None

    def set_fact(self, name: str, value: str) -> None:
        """Remember a value under a name."""
        with self._writing() as connection:
            connection.execute(
                "insert into facts values (?, ?) "
                "on conflict (name) do update set value = excluded.value",
                (name, value),
            )

    def claim_night(self, day: str, owner: str, *, stale_after: float, attempts: int) -> int:
        """Claim the run of the local date `day`; returns the attempt (1, 2, …), or 0 if not ours.

        A run is claimed anew when its last heartbeat is older than `stale_after` seconds and fewer
        than `attempts` were made; one that was left `waiting` at once, as the same attempt.
        """
        moment = now()
        with self._writing() as connection:
            row = connection.execute("select * from nights where day = ?", (day,)).fetchone()
            if row is None:
                connection.execute(
                    "insert into nights values (?, 'running', 1, ?, ?, ?, null)",
                    (day, moment.isoformat(), moment.isoformat(), owner),
                )
                return 1
            age = (moment - datetime.fromisoformat(row["beat"])).total_seconds()
            waiting = row["state"] == "waiting"
            if not waiting and (row["state"] != "running" or age < stale_after):
                return 0
            if not waiting and row["attempt"] >= attempts:
                connection.execute(
                    "update nights set state = 'failed', outcome = ? where day = ?",
                    (f"given up after {attempts} attempts that were cut off", day),
                )
                return 0
            attempt = int(row["attempt"]) + (not waiting)
            connection.execute(
                "update nights set state = 'running', attempt = ?, started = ?, beat = ?, owner = ? "
                "where day = ?",
                (attempt, moment.isoformat(), moment.isoformat(), owner, day),
            )
            return attempt

    def beat_night(self, day: str, owner: str) -> bool:
        """Record that the run of `day` is alive; False when another process has taken it over."""
        with self._writing() as connection:
            changed = connection.execute(
                "update nights set beat = ? where day = ? and owner = ? and state = 'running'",
                (now().isoformat(), day, owner),
            )
            return changed.rowcount == 1

    def end_night(self, day: str, owner: str, state: str, outcome: str) -> None:
        """Close the run of `day` with its outcome: published, rejected, nothing, failed or
        stopped; or leave it `waiting` for another process."""
        with self._writing() as connection:
            connection.execute(
                "update nights set state = ?, outcome = ?, beat = ? where day = ? and owner = ?",
                (state, outcome, now().isoformat(), day, owner),
            )

    def nights(self, limit: int = 30) -> list[dict[str, Any]]:
        """Return the latest nights, the newest first, as rows."""
        return [
            dict(row)
            for row in self._rows("select * from nights order by day desc limit ?", (limit,))
        ]

    def _one(self, table: str, prefix: str) -> sqlite3.Row:
        found = self._rows(
            f"select * from {table} where id >= ? and id < ? limit 2",
            (prefix, prefix + "\U0010ffff"),
        )
        what = table.removesuffix("s")
        if not prefix or not found:
            raise UnknownIdError(
                f"no {what} has the id {prefix!r}; "
                + (
                    "`discern memory list` shows them"
                    if what == "difference"
                    else "`discern ask --json` and the chat show the ids of turns"
                )
            )
        if len(found) > 1:
            raise UnknownIdError(f"several {table} start with {prefix!r}; give more of the id")
        return found[0]


_COUNT_CHANGE = (
    "insert into facts values ('forgotten', '1') on conflict (name) do update "
    "set value = cast(cast(value as integer) + 1 as text)"
)


def _turn(row: sqlite3.Row) -> Turn:
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
    )


def _difference(row: sqlite3.Row) -> Difference:
    span = json.loads(row["span"]) if row["span"] else None
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
    )
