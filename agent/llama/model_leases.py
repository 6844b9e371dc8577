"""Record which open chats of this home have a model loaded that a night may ask them to unload.

Each chat has a file in the state folder, locked for as long as its model is loaded. The kernel releases
the lock when its process ends, so a crashed chat has no lease. `flock` is used directly, because
filelock has exclusive locks only: several processes check the leases at the same time, and with
exclusive locks each would mistake the other for a chat.
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
    """A record of the GPU memory that this chat's model takes.

    `release` it when the model is unloaded, `acquire` it when the model is restored.
    """

    def __init__(self, home: Home, size: int) -> None:
        """Acquire the lease; `size` is the GPU memory of the model in bytes."""
        self._path = home.state / FOLDER / f"{os.getpid()}-{id(self):x}"
        self._size = size
        self._file: IO[str] | None = None
        self.acquire()

    def acquire(self) -> None:
        """Acquire the lease; calling it again does nothing. After a disk error there is none."""
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
        """Release the lease; calling it again does nothing."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def leased_sizes(home: Home) -> list[int]:
    """Return the sizes in bytes of the models that open chats have loaded."""
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
