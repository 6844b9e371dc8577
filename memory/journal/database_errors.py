"""What the user is told when the journal cannot be used, and which copy can replace it."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from memory.difference import new_id, now
from memory.journal.migrations import copies
from memory.sentence import Sentence

_READ_ONLY = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN)
_NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)
_DISK_FULL = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)


def explain(path: Path, error: sqlite3.Error | OSError, *, busy_seconds: float) -> Sentence:
    """Return the sentence for the user: what happened to the journal at `path`, and what to do.

    A lock was waited for `busy_seconds`.
    """
    whole = Sentence("existing data is intact")
    if isinstance(error, OSError):
        said, code, extended = error.strerror or str(error), 0, 0
    else:
        said, code, extended = str(error), primary_code(error), _extended_code(error)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in said:
        return damaged(path, said)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Sentence(
            "the journal {path} has been locked by another process for over {seconds:.0f} seconds "
            "({whole}); try again when that process is done",
            path=path,
            seconds=busy_seconds,
            whole=whole,
        )
    if code in _READ_ONLY or (isinstance(error, OSError) and error.errno in _NO_ACCESS):
        return Sentence(
            "the journal {path} or its folder is read-only ({said}), so nothing can be saved "
            "({whole}); make it writable, or set DISCERN_HOME to another folder",
            path=path,
            said=said,
            whole=whole,
        )
    if extended == sqlite3.SQLITE_IOERR_SHORT_READ:
        return Sentence(
            "the log of the journal {path} was deleted or truncated while another process had it "
            "open; close Discern everywhere and restart it",
            path=path,
        )
    if code == sqlite3.SQLITE_FULL or extended in _DISK_FULL:
        return Sentence(
            "no space left to write the journal {path} ({said}; {whole}); free some space on "
            "that disk and try again",
            path=path,
            said=said,
            whole=whole,
        )
    return Sentence(
        "cannot use the journal {path}: {said} ({whole}); check its disk and permissions",
        path=path,
        said=said,
        whole=whole,
    )


def damaged(path: Path, said: Sentence | str) -> Sentence:
    """Return the sentence for a damaged journal, with the newest copy to restore."""
    newest = newest_copy(path)
    if newest is None:
        return Sentence(
            "the journal {path} is damaged ({said}); `discern memory restore FILE` restores a "
            "backup and keeps the damaged file",
            path=path,
            said=said,
        )
    return Sentence(
        "the journal {path} is damaged ({said}); `discern memory restore {newest}` restores the "
        "latest copy and keeps the damaged file",
        path=path,
        said=said,
        newest=newest,
    )


def lost(path: Path, rescued: Path | None) -> Sentence:
    """Return the sentence for a journal that is no longer at its path, and what was rescued of it."""
    if rescued is None:
        return Sentence(
            "the journal {path} or its log was deleted, moved or replaced while it was open, so "
            "nothing more can be saved; put it back, or close Discern everywhere and restart it",
            path=path,
        )
    return Sentence(
        "the journal {path} or its log was deleted, moved or replaced while it was open, so "
        "nothing more can be saved; all saved data is in {rescued}: close Discern everywhere, then "
        "run `discern memory restore {rescued}`",
        path=path,
        rescued=rescued,
    )


def unknown_id(table: str, prefix: str, *, several: bool) -> Sentence:
    """Return the sentence for a prefix of no id of `turns` or `differences`, or of `several`."""
    if table == "differences" and several:
        return Sentence(
            "several differences have an id that starts with {prefix!r}; type more of the id",
            prefix=prefix,
        )
    if table == "differences":
        return Sentence(
            "no difference has the id {prefix!r}; `discern memory list` lists the ids",
            prefix=prefix,
        )
    if several:
        return Sentence(
            "several turns have an id that starts with {prefix!r}; type more of the id",
            prefix=prefix,
        )
    return Sentence(
        "no turn has the id {prefix!r}; `discern ask --json` and the chat show turn ids",
        prefix=prefix,
    )


def aside_name(file: Path) -> str:
    """Return a name, in the same folder, for a journal that is moved out of the way."""
    return f"{file.name}.aside-{now():%Y%m%d-%H%M%S}-{new_id()[:4]}"


def newest_copy(path: Path) -> Path | None:
    """Return the newest backup or copy beside the journal at `path`."""
    beside = [item for item in path.parent.glob(f"{path.stem}-*{path.suffix}") if item.is_file()]
    found = [*beside, *copies(path)]
    return max(found, key=lambda item: item.stat().st_mtime) if found else None


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's result code without its extension; 0 if the error is Python's own."""
    return _extended_code(error) & 0xFF


def _extended_code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0))
