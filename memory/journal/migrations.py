"""The journal's tables as ordered migrations; each is recorded, and the file is copied before it.

A migration and its record are one transaction: if the process is killed, the file is unchanged. The
number of applied migrations is SQLite's `user_version`; the table `migrations` has their dates. A
file from a newer Discern is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from memory.errors import HomeError
from memory.files.atomic_write import whole
from memory.files.sqlite_file import copy_file

COPIES_KEPT = 2
"""Copies from before a migration that are kept next to the journal."""
_OURS = {"turns", "differences", "nights", "facts"}  # from version 1 on


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
    # Stems rather than text: Snowball has stemmed them, FTS5 counts and ranks them.
    connection.execute("create virtual table stems using fts5 (asked, tokenize = 'unicode61')")
    connection.execute("create virtual table stem_counts using fts5vocab ('stems', 'row')")


def _second(connection: sqlite3.Connection) -> None:
    """Add versions, pins, use, surprise and quarantine."""
    for column in (
        "before text not null default '[]'",
        "surprisal real",
        "next_surprisal real",
        "version integer not null default 1",
        "edited text",
        "pinned integer not null default 0",
        "superseded_by text",
        "recalled integer not null default 0",
    ):
        connection.execute(f"alter table differences add column {column}")
    connection.execute("alter table turns add column asked_surprisal real")
    connection.execute("alter table turns add column why text not null default '[]'")
    connection.execute("create index differences_by_turn on differences (turn)")
    connection.execute("create index differences_by_state on differences (state, superseded_by)")
    connection.execute(
        "create index differences_by_successor on differences (superseded_by) "
        "where superseded_by is not null"
    )
    connection.execute(
        """create table versions (
            difference text not null, version integer not null, body text not null,
            primary key (difference, version)) strict, without rowid"""
    )
    connection.execute(
        """create table if not exists quarantine (
            seq integer primary key, batch text not null, at text not null, source text not null,
            body text not null) strict"""
    )
    connection.execute("create table forgotten (id text primary key, at text not null) strict")


def _third(connection: sqlite3.Connection) -> None:
    """Add branches: each turn's parent ("" at the start of a thread) and each thread's head.

    When a turn is deleted, its children become children of its parent.
    """
    connection.execute("alter table turns add column parent text not null default ''")
    connection.execute(
        "update turns set parent = coalesce((select before.id from turns before where "
        "before.thread = turns.thread and before.seq < turns.seq order by before.seq desc limit 1), '')"
    )
    connection.execute("create index turns_by_parent on turns (parent, thread)")
    connection.execute(
        "create table heads (thread text primary key, turn text not null) strict, without rowid"
    )
    connection.execute("create index heads_by_turn on heads (turn)")
    connection.execute(
        """create trigger turn_deleted after delete on turns begin
            update turns set parent = old.parent where parent = old.id;
            delete from heads where turn = old.id and old.parent = '';
            update heads set turn = old.parent where turn = old.id;
        end"""
    )


def _fourth(connection: sqlite3.Connection) -> None:
    """Record the terminal session of each turn, so that other sessions do not mark it by mistake."""
    connection.execute("alter table turns add column place text not null default ''")


def _fifth(connection: sqlite3.Connection) -> None:
    """Keep the sentences of an outcome as JSON (`memory/sentence.py`) beside their English text."""
    connection.execute("alter table nights add column sentences text")


def _sixth(connection: sqlite3.Connection) -> None:
    """Add the scope of a mark, and its condition."""
    connection.execute("alter table differences add column scope text not null default 'here'")
    connection.execute("alter table differences add column condition text")
    connection.execute(
        "create index standing_differences on differences (scope) where scope != 'here'"
    )


def _seventh(connection: sqlite3.Connection) -> None:
    """Add the rules of a mark, a line each; null for those that its note states."""
    connection.execute("alter table differences add column rules text")


MIGRATIONS: tuple[tuple[str, Callable[[sqlite3.Connection], None]], ...] = (
    ("turns, differences, nights", _first),
    ("versions, pins, use, surprise, quarantine", _second),
    ("branches of a talk", _third),
    ("where a turn was spoken", _fourth),
    ("what came of a night, as data", _fifth),
    ("scopes", _sixth),
    ("rules", _seventh),
)


def is_journal(connection: sqlite3.Connection) -> bool:
    """Whether an open database is a journal of any version, or new and empty."""
    connection.execute("begin")  # a consistent read: another process may be migrating it
    try:
        version = int(connection.execute("pragma user_version").fetchone()[0])
        tables = {row[0] for row in connection.execute("select name from sqlite_master")}
    finally:
        roll_back(connection)
    return tables >= _OURS if version else not tables


def roll_back(connection: sqlite3.Connection) -> None:
    """End a transaction that failed; SQLite may have ended it already, as on a full disk."""
    with suppress(sqlite3.Error):
        connection.execute("rollback")


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Migrate the open journal at `path` to the current tables; usually there is nothing to do.

    Raises:
        HomeError: it was written by a newer Discern, or cannot be copied before the change.
        sqlite3.Error: any other error of SQLite.
    """
    if _version(connection, path) == len(MIGRATIONS):
        return
    connection.execute("begin immediate")
    try:
        # Read again: another process may have migrated while this one waited for the lock.
        version = _version(connection, path)
        if 0 < version < len(MIGRATIONS):
            _copy(path, version + 1)
        connection.execute(
            """create table if not exists migrations (
                version integer primary key, name text not null, at text not null) strict"""
        )
        for number, (name, change) in enumerate(MIGRATIONS[version:], start=version + 1):
            change(connection)
            connection.execute(
                "insert or replace into migrations values (?, ?, ?)",
                (number, name, datetime.now(UTC).isoformat()),
            )
            connection.execute(f"pragma user_version={number}")
    except BaseException:
        roll_back(connection)
        raise
    connection.execute("commit")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("pragma user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise HomeError(
            "the journal {path} was written by a newer Discern (version {version}; this one "
            "supports up to {migrations}); update Discern to open it",
            path=path,
            version=version,
            migrations=len(MIGRATIONS),
        )
    return version


def copies(path: Path) -> list[Path]:
    """Return the copies from before a migration of the journal at `path`, the oldest first."""
    found = path.parent.glob(f"{path.name}.before-*")
    numbered = [item for item in found if item.name.rpartition("-")[2].isdecimal()]
    return sorted(numbered, key=lambda item: int(item.name.rpartition("-")[2]))


def _copy(path: Path, number: int) -> None:
    """Copy the journal as it is committed now, synced, to `<journal>.before-<number>`."""
    target = path.with_name(f"{path.name}.before-{number}")
    try:
        with whole(target) as part:
            copy_file(path, part)
        for old in copies(path)[:-COPIES_KEPT]:
            old.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise HomeError(
            "cannot copy the journal to {target} before updating its tables: {error} (nothing "
            "was changed); free some space on that disk and start again",
            target=target,
            error=error,
        ) from error
