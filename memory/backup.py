"""Copies of the journal: made while it is in use, checked before they count, put back when needed.

A backup is made beside its place, synced, read through and only then given its name: what has the name
is whole. A restore puts nothing at risk: the copy is checked first, the journal that was there stays
beside it as `….aside-<moment>` with its log, and the change is one rename. Killed in the middle, a
restore leaves the old journal or the new one, and doing it again ends it. Refused while another process
has the journal open, for that one would go on writing into the file that was put aside.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from memory.difference import new_id, now
from memory.errors import HomeError
from memory.home import Home
from memory.journal import Journal
from memory.places import expanded
from memory.schema import MIGRATIONS, online_copy, sync

# The bytes of a database file that each connection in WAL mode holds a shared lock on for as long as it
# is open (SQLite, os.h: SHARED_FIRST = PENDING_BYTE + 2, SHARED_SIZE).
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore put into force: how many turns and differences, and where the old journal is."""

    turns: int
    differences: int
    aside: Path | None


def backup(journal: Journal, path: Path, *, force: bool = False) -> Path:
    """Copy the journal, in use as it is, to one plain SQLite file; returns its absolute path.

    Raises:
        HomeError: `path` is there already (and not `force`), is the journal itself or cannot be
            written; what stood there before still does.
    """
    path = expanded(path).absolute()
    if path.exists() and not force:
        raise HomeError(f"{path} is there already; name another file for the backup")
    if path.exists() and path.samefile(journal.path):
        raise HomeError(f"{path} is the journal itself; name another file for the backup")
    unfinished = path.with_name(f".{path.name}.{new_id()[:8]}")
    with _explained(f"cannot copy the journal to {path}"):
        try:
            online_copy(journal.path, unfinished)
            counts(unfinished)
            unfinished.replace(path)
            sync(path.parent)
        finally:
            unfinished.unlink(missing_ok=True)
    return path


def counts(path: Path) -> tuple[int, int]:
    """Read the journal's copy at `path` through; returns how many turns and differences it holds.

    Raises:
        HomeError: it is missing, damaged, no journal, or from a newer Discern.
    """
    if not path.is_file():
        raise HomeError(
            f"there is no file {path}; `discern memory check` names the copies there are"
        )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as copy:
            said = str(copy.execute("pragma integrity_check(1)").fetchone()[0])
            version = int(copy.execute("pragma user_version").fetchone()[0])
            tables = {row[0] for row in copy.execute("select name from sqlite_master")}
            if said == "ok" and {"turns", "differences"} <= tables and version <= len(MIGRATIONS):
                held = [
                    int(copy.execute(f"select count(*) from {table}").fetchone()[0])
                    for table in ("turns", "differences")
                ]
                return held[0], held[1]
    except sqlite3.Error as error:
        said, version, tables = str(error), 0, {"turns", "differences"}
    if said != "ok":
        why = f"is damaged ({said}); use an older copy"
    elif version > len(MIGRATIONS):
        why = "was written by a newer Discern; update Discern to use it"
    else:
        why = "is no journal of Discern's; name another file"
    raise HomeError(f"{path} {why}")


def restore(home: Home, path: Path) -> Restored:
    """Put the copy at `path` in the place of the journal, which is kept aside.

    No `Journal` may be open in this process.

    Raises:
        HomeError: the copy is not whole, or the journal is open in another process.
    """
    path, place = expanded(path).absolute(), home.journal
    if place.exists() and path.exists() and path.samefile(place):
        raise HomeError(f"{path} is the journal itself; name a copy of it")
    turns, differences = counts(path)
    unfinished = place.with_name(f".{place.name}.{new_id()[:8]}")
    with _explained(f"cannot put {path} in the place of the journal {place}"):
        try:
            online_copy(path, unfinished)
            counts(unfinished)
            with _alone(place):
                aside = _put_aside(place)
                unfinished.replace(place)
                sync(place.parent)
        finally:
            unfinished.unlink(missing_ok=True)
    return Restored(turns, differences, aside)


def asides(place: Path) -> list[Path]:
    """Return the journals that were put aside by a restore, the oldest first."""
    found = place.parent.glob(f"{place.name}.aside-*")
    return sorted(path for path in found if not path.name.endswith(("-wal", "-shm")))


def _put_aside(place: Path) -> Path | None:
    """Give the journal and its log a second name, then take the log away from the first.

    The log of the old file must be gone before the new file has the name: SQLite would replay it there.
    """
    if not place.exists():
        return None
    aside = place.with_name(f"{place.name}.aside-{now():%Y%m%d-%H%M%S}-{new_id()[:4]}")
    for end in ("-wal", ""):
        part = place.with_name(place.name + end)
        if part.exists():
            _second_name(part, aside.with_name(aside.name + end))
    sync(place.parent)
    for end in ("-wal", "-shm"):
        place.with_name(place.name + end).unlink(missing_ok=True)
    sync(place.parent)
    return aside


def _second_name(path: Path, other: Path) -> None:
    try:
        os.link(path, other)
    except OSError:  # a file system without hard links
        shutil.copy2(path, other)
        sync(other)


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold the lock that every open connection shares, so that none is open and none is opened."""
    if not place.exists():
        yield
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(place, timeout=1)) as last:
        # Closing as the last one folds a log that a killed process left behind.
        last.execute("pragma wal_checkpoint(truncate)")
    with place.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        except OSError:
            raise HomeError(
                f"the journal {place} is open in another process; close the chat and what else uses "
                "it, and try again"
            ) from None
        yield


@contextmanager
def _explained(begin: str) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if isinstance(error, HomeError):
            raise
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise HomeError(
            f"{begin}: {said}; nothing was changed, check free space and permissions of its folder"
        ) from error
