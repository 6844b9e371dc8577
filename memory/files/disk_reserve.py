"""Disk space reserved next to the journal, so that text can be erased from it when the disk is full.

SQLite needs space to delete: a transaction is written to the log before it is written to the file. An
empty file of this size is therefore created next to the journal while there is enough space, and
deleted when something must be forgotten and the disk is full. It is used for nothing else: a mark
would only use it up.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from memory.errors import HomeError
from memory.files.atomic_write import write_whole

RESERVED_BYTES = 1 << 20
"""Bytes that are reserved."""
PLENTY = 64 << 20
"""Bytes that must be free for space to be reserved."""
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
Done = TypeVar("Done")


def reserve_space(journal: Path) -> None:
    """Reserve the space beside a journal; failing to do so is not an error."""
    with suppress(OSError):
        place = _place(journal)
        if not place.exists() and shutil.disk_usage(journal.parent).free >= PLENTY:
            write_whole(place, bytes(RESERVED_BYTES), new=True)


def with_reserve(journal: Path, work: Callable[[], Done]) -> Done:
    """Return what `work` returns; on a full disk, release the reserve and try once more.

    Raises:
        HomeError: what `work` raises, if there was no reserve or the disk is not the cause.
    """
    try:
        return work()
    except HomeError as error:
        if not is_full(error):
            raise
        try:
            _place(journal).unlink()
        except OSError:
            raise error from error.__cause__
        return work()


def is_full(error: BaseException | None) -> bool:
    """Whether an error was caused by a full disk."""
    while error is not None:
        code = getattr(error, "sqlite_errorcode", 0)
        if code in _FULL or getattr(error, "errno", 0) in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def _place(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}.room")
