"""Which open chats of this home hold a model that they would offload for a night, and its size.

Each chat has a file in the state folder, locked for as long as its model is loaded. The kernel releases
the lock when its process ends, so a chat that crashed holds nothing. `flock` itself is used rather than
filelock, which has exclusive locks only: several processes look at the leases at the same time, and an
exclusive look would make each take the other for a chat.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import IO

from memory.files.bounded_read import SMALL, open_file
from memory.settings.paths import Home, private_folder

FOLDER = "serving"


class GpuLease:
    """The graphics memory that this chat's model takes.

    `release` it when the model is offloaded, `acquire` it when the model is restored.
    """

    def __init__(self, home: Home, size: int) -> None:
        """Acquire the lease; `size` is what the model takes of a graphics card, in bytes."""
        self._path = home.state / FOLDER / f"{os.getpid()}-{id(self):x}"
        self._size = size
        self._file: IO[str] | None = None
        self.acquire()

    def acquire(self) -> None:
        """Hold the lease; calling it again does nothing. A disk error leaves the chat without one."""
        if self._file is not None:
            return
        with suppress(OSError):
            private_folder(self._path.parent)
            file = self._path.open("w", encoding="ascii")
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(str(self._size))
            file.flush()
            self._file = file

    def release(self) -> None:
        """Give the lease up; calling it again does nothing."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def leased_sizes(home: Home) -> list[int]:
    """Return the sizes in bytes of the models that open chats hold now."""
    folder = home.state / FOLDER
    found: list[int] = []
    for path in folder.iterdir() if folder.is_dir() and home.holds(folder) else ():
        try:
            with open_file(path, SMALL) as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    found.append(int(file.read() or 0))
                else:
                    path.unlink(missing_ok=True)  # its chat is gone
        except (OSError, ValueError):
            continue
    return found
