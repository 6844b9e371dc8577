"""SQLite files: created, opened, copied, locked and watched. No other code opens one, for any purpose.

Closing any descriptor of a file releases all POSIX locks that the process holds on it, SQLite's
included (fcntl(2); sqlite.org/howtocorrupt.html, 2.2). Another process then believes that it is the
last one with the file open and deletes its write-ahead log, with everything committed there since.
SQLite defers its own closing, so a file that only SQLite opens is safe. Everything else here works on
names: `stat`, `chmod`, `link` and `rename` open no descriptor.

SQLite follows a symbolic link and keeps the log beside the file that the link points to.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from memory.errors import HomeError
from memory.files.atomic_write import scratch, set_mode

LOG, SHARED = "-wal", "-shm"
"""Endings of the write-ahead log and of its index, which the processes share."""
_PRIVATE = 0o600

Identity = tuple[int, int]


def real(path: Path) -> Path:
    """Return the file that `path` points to through symbolic links; it need not exist."""
    return Path(os.path.realpath(path))


def log_of(path: Path) -> Path:
    """Return where SQLite keeps the write-ahead log of the file at `path`."""
    file = real(path)
    return file.with_name(file.name + LOG)


def connect(
    path: Path,
    *,
    timeout: float = 5.0,
    read_only: bool = False,
    isolation_level: Literal["DEFERRED"] | None = "DEFERRED",
) -> sqlite3.Connection:
    """Open the file at `path` for use from any thread; a new one is readable by its owner alone.

    A file that others may read is closed to them. With `read_only` nothing is created or changed.

    Raises:
        sqlite3.Error, OSError: it cannot be opened or created.
    """
    if read_only:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=timeout,
            isolation_level=isolation_level,
            check_same_thread=False,
        )
    create(path)
    return sqlite3.connect(
        path, timeout=timeout, isolation_level=isolation_level, check_same_thread=False
    )


def create(path: Path) -> None:
    """Have SQLite create an empty file if there is none; it is readable by its owner alone in any case.

    Raises:
        sqlite3.Error, OSError: it cannot be created.
    """
    file = real(path)
    if file.exists():
        _close_to_others(file)
        return
    with scratch(file.parent) as folder:
        pattern = folder / "mode"
        pattern.touch()
        set_mode(pattern, _PRIVATE)
        # `modeof` (sqlite.org/uri.html): the mode of that file, whatever the umask.
        sqlite3.connect(f"{file.as_uri()}?modeof={quote(str(pattern))}", uri=True).close()


def _close_to_others(file: Path) -> None:
    for end in ("", LOG, SHARED):
        part = file.with_name(file.name + end)
        with suppress(OSError):  # it does not exist, or has another owner
            mode = part.stat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                part.chmod(stat.S_IMODE(mode) & 0o700)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, in use or not, as one consistent file without a log, synced to disk.

    Raises:
        sqlite3.Error, OSError: the source cannot be read or the target not written.
    """
    with closing(connect(source, read_only=True)) as reading:
        copy_from(reading, target)


def copy_from(connection: sqlite3.Connection, target: Path) -> None:
    """Copy what an open connection reads to a new file at `target`, as `copy_file` does.

    SQLite's online backup: sqlite.org/backup.html.
    """
    target.unlink(missing_ok=True)
    with closing(connect(target)) as writing:
        writing.execute("pragma fullfsync=on")
        connection.backup(writing)
        writing.execute("pragma journal_mode=delete")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Lock the file so that no other connection has or opens it; fold its log into it.

    A file that is no longer a database cannot be locked; its log can, if others still have it open.

    Raises:
        BlockingIOError: another connection has it open.
    """
    with closing(connect(path, timeout=1, isolation_level=None)) as holding:
        try:
            # In WAL mode this lock is refused while anyone has the file open: sqlite.org/wal.html,
            # "Use of WAL Without Shared-Memory".
            holding.execute("pragma locking_mode=exclusive")
            holding.execute("begin exclusive")
            holding.execute("rollback")
            holding.execute("pragma wal_checkpoint(truncate)")
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise BlockingIOError from error
        yield


class FileWatch:
    """Which file, log and shared index an open connection works on; compared with those at the path.

    Make it when the connection has read once: then SQLite has all three open.
    """

    def __init__(self, path: Path) -> None:
        file = real(path)
        # By its own name, which may be a link whose target changes later.
        self._paths = (path, file.with_name(file.name + LOG), file.with_name(file.name + SHARED))
        self._opened = self._look()
        _WATCHES.add(self)

    @property
    def file(self) -> Identity | None:
        """The file that was at the path when this was made."""
        return self._opened[0]

    @property
    def moved(self) -> bool:
        """Whether one of them was deleted, moved or replaced since; not when it is closed."""
        return self in _WATCHES and self._look() != self._opened

    def close(self, connection: sqlite3.Connection) -> None:
        """Close the connection, unless its files were moved.

        Calling it again does nothing. With moved files it is left open, as a kill would leave it:
        closing would fold its log into the file, over what others may have written there since.
        """
        if self not in _WATCHES:
            return
        if self.moved:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        else:
            connection.close()
            _WATCHES.discard(self)

    def holds(self, found: Identity) -> bool:
        """Whether this is one of its files."""
        return found in self._opened

    def _look(self) -> tuple[Identity | None, ...]:
        return tuple(identity(path) for path in self._paths)


_WATCHES: set[FileWatch] = set()


def open_without_log(path: Path) -> bool:
    """Whether this process has the file at `path` open without its log: SQLite cannot reopen it."""
    found = identity(path)
    return any(watch.file == found and watch.moved for watch in tuple(_WATCHES))


def identity(path: Path) -> Identity | None:
    """Return what identifies a file among all files; None if it does not exist."""
    try:
        about = path.stat()
    except (OSError, ValueError):  # no file has this name
        return None
    return about.st_dev, about.st_ino


def refuse_open_file(path: Path) -> None:
    """Refuse a file named by the user that is part of an open journal.

    Raises:
        HomeError: it is.
    """
    found = identity(path)
    if found is not None and any(watch.holds(found) for watch in tuple(_WATCHES)):
        raise HomeError("{path} is the journal itself or its log; choose another file", path=path)
