"""Lock files: opened to be locked with `flock`, which the system lets go with the process."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO


def open_lock(path: Path) -> IO[str]:
    """Open a lock file, which is made where there is none, readable by its owner alone.

    Raises:
        OSError: it cannot be opened, or is no file, such as a pipe, which would be waited for.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return open(descriptor, "r+", encoding="ascii", errors="replace")  # noqa: PTH123
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is not a file", str(path))
