"""Locks between processes. The system releases a lock when the process that holds it ends."""

from __future__ import annotations

import errno
from pathlib import Path

from filelock import FileLock


def file_lock(path: Path, *, wait: bool = False) -> FileLock:
    """Return the lock of a lock file, which is created if needed and readable by its owner alone.

    Any thread may release it. While another process or thread holds it, `acquire` waits, or raises
    `filelock.Timeout` where `wait` is false.

    Raises:
        OSError: `path` is something other than a file, such as a pipe. `acquire` raises it when the
            file cannot be opened.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a file", str(path))
    return FileLock(
        path, mode=0o600, timeout=-1 if wait else 0, thread_local=False, fallback_to_soft=False
    )
