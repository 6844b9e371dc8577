"""Backups of the journal: made while it is in use, verified, restored when needed.

A backup is written to a temporary file, synced and read through before it is renamed: a file with the
final name is complete. A restore risks nothing: the copy is verified first, the previous journal
stays beside it as `….aside-<moment>` with its log, and the change is one rename. If a restore is
killed, the old or the new journal is in place, and repeating it completes it. It is refused while
another process has the journal open, which would go on writing to the old file. If the journal's path
is a symbolic link, all this happens to its target, and the link stays.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from memory.errors import HomeError
from memory.files.atomic_write import scratch, settle, sync, whole
from memory.files.sqlite_file import (
    LOG,
    SHARED,
    alone,
    connect,
    copy_file,
    identity,
    log_of,
    real,
    refuse_open_file,
)
from memory.journal.database_errors import aside_name
from memory.journal.journal import Journal
from memory.journal.migrations import MIGRATIONS
from memory.sentence import Sentence
from memory.settings.paths import Home, expanded

_COPYING = "import shutil, sys; shutil.copy2(sys.argv[1], sys.argv[2])"


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore: the number of turns and differences, and where the old journal is."""

    turns: int
    differences: int
    aside: Path | None


def backup(journal: Journal, path: Path, *, force: bool = False) -> Path:
    """Copy the journal, even while in use, to one plain SQLite file; return its absolute path.

    Raises:
        HomeError: `path` exists (without `force`), is the journal itself or cannot be written; an
            existing file is unchanged.
    """
    path = expanded(path).absolute()
    if path.exists() and not force:
        raise HomeError("{path} already exists; choose another file for the backup", path=path)
    refuse_open_file(path)
    journal.database.require_in_place()
    unnoted: HomeError | None = None
    try:
        journal.exported_copies.note(path)
    except (
        HomeError
    ) as error:  # such as a full disk, when a copy on another disk is needed even more
        unnoted = error
    with _explained(Sentence("cannot copy the journal to {path}", path=path)), whole(path) as part:
        copy_file(journal.path, part)
        counts(part)
    if unnoted is not None:
        raise HomeError(
            "{path} was written and is complete, but `forget` will not list it as a copy: "
            "{unnoted}",
            path=path,
            unnoted=unnoted,
        )
    return path


def counts(path: Path) -> tuple[int, int]:
    """Read the journal's copy at `path` completely; return its number of turns and differences.

    Raises:
        HomeError: it is missing, damaged, not a journal, or from a newer Discern.
    """
    if not path.is_file():
        raise HomeError(
            "there is no file {path}; `discern memory check` lists the existing copies", path=path
        )
    try:
        with closing(connect(path, read_only=True)) as copy:
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
        raise HomeError("{path} is damaged ({said}); use an older copy", path=path, said=said)
    if version > len(MIGRATIONS):
        raise HomeError(
            "{path} was written by a newer Discern; update Discern to use it", path=path
        )
    raise HomeError("{path} is not a Discern journal; choose another file", path=path)


def restore(home: Home, path: Path) -> Restored:
    """Replace the journal by the copy at `path`; the old journal is kept beside it.

    No `Journal` may be open in this process.

    Raises:
        HomeError: the copy is not intact, or the journal is open in another process.
    """
    path, place = expanded(path).absolute(), real(home.journal)
    if place.exists() and path.exists() and path.samefile(place):
        raise HomeError("{path} is the journal itself; choose a copy of it", path=path)
    turns, differences = counts(path)
    with (
        _explained(
            Sentence("cannot replace the journal {place} with {path}", path=path, place=place)
        ),
        scratch(place.parent) as folder,
    ):
        part = folder / place.name
        copy_file(path, part)
        counts(part)
        with _held(place), _kept_aside(place) as aside:
            try:
                settle(part, place, new=not place.exists())
            except FileExistsError:
                raise _opened_elsewhere(place) from None
    return Restored(turns, differences, aside)


def asides(place: Path) -> list[Path]:
    """Return the old journals that restores have kept, oldest first."""
    place = real(place)
    found = place.parent.glob(f"{place.name}.aside-*")
    return sorted(path for path in found if not path.name.endswith((LOG, SHARED)))


@contextmanager
def _kept_aside(place: Path) -> Iterator[Path | None]:
    """Give the journal and its log a second name, then remove the log under the first.

    The old log must be gone before the new file has the name: SQLite would replay it there. If the
    block fails or is interrupted before the journal is replaced, the second name is removed again.
    """
    log, before = log_of(place), identity(place)
    parts = [log] if log.exists() and log.stat().st_size else []
    parts += [place] if before else []
    if not parts:
        yield None
        return
    aside = place.with_name(aside_name(place))
    try:
        for part in parts:
            _second_name(part, aside.with_name(aside.name + part.name.removeprefix(place.name)))
        sync(place.parent)
        for end in (LOG, SHARED):
            place.with_name(place.name + end).unlink(missing_ok=True)
        sync(place.parent)
        yield aside
    except BaseException:
        if parts == [place] and identity(place) == before:  # else its log is only there
            aside.unlink(missing_ok=True)
        raise


def _second_name(path: Path, other: Path) -> None:
    try:
        os.link(path, other)
    except OSError:  # a file system without hard links
        # Another process copies it: if this one opened the journal, closing it would release the lock.
        subprocess.run([sys.executable, "-c", _COPYING, str(path), str(other)], check=True)
        sync(other)


@contextmanager
def _held(place: Path) -> Iterator[None]:
    """Lock the journal, if there is one, so that no other process has it open."""
    if not place.exists():
        yield
        return
    try:
        with alone(place):
            yield
    except BlockingIOError:
        raise _opened_elsewhere(place) from None


def _opened_elsewhere(place: Path) -> HomeError:
    return HomeError(
        "the journal {place} is open in another process; close the chat and everything else that "
        "uses it, then try again",
        place=place,
    )


@contextmanager
def _explained(begin: Sentence) -> Iterator[None]:
    try:
        yield
    except HomeError:
        raise
    except (OSError, sqlite3.Error, subprocess.CalledProcessError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise HomeError(
            "{begin}: {said} (nothing was changed); check the free space and permissions of its "
            "folder",
            begin=begin,
            said=said,
        ) from error
