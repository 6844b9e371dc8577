"""A little room kept on the journal's disk, so that words can be taken out of it when it is full.

SQLite needs some to delete: what a transaction changes stands in the log before it stands in the
file. So a file of nothing lies beside the journal, is made while there is plenty of room, and is given
up when something is to be forgotten and the disk is full. Nothing else may have it: a mark would only
fill it.
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

ROOM = 1 << 20
"""Bytes that are kept."""
PLENTY = 64 << 20
"""Free bytes from which on they are."""
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
Done = TypeVar("Done")


def keep_room(journal: Path) -> None:
    """Have the room beside a journal; that it cannot be had is no failure."""
    with suppress(OSError):
        place = _place(journal)
        if not place.exists() and shutil.disk_usage(journal.parent).free >= PLENTY:
            write_whole(place, bytes(ROOM), new=True)


def with_room(journal: Path, work: Callable[[], Done]) -> Done:
    """Return what `work` returns; on a full disk the room is given up and the work done again.

    Raises:
        HomeError: what `work` raises, if there was no room to give up or something else is wrong.
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
    """Whether a full disk is behind an error."""
    while error is not None:
        code = getattr(error, "sqlite_errorcode", 0)
        if code in _FULL or getattr(error, "errno", 0) in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def _place(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}.room")
