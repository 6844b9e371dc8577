"""Which open chats of this home hold a model that they would put aside for a night, and its size.

A file a chat in the state folder, locked for as long as its model is loaded; the kernel lets the lock
go with its holder, so a chat that crashed occupies nothing.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import IO

from memory.files.bounded_read import SMALL, open_file
from memory.settings.paths import private_folder
from memory.settings.settings import Home

FOLDER = "serving"


class Place:
    """The place of this chat's model; `leave` when it is put aside, `take` when it is back."""

    def __init__(self, home: Home, size: int) -> None:
        """`size`: what the model takes of a graphics card, in bytes."""
        self._path = home.state / FOLDER / f"{os.getpid()}-{id(self):x}"
        self._size = size
        self._file: IO[str] | None = None
        self.take()

    def take(self) -> None:
        """Be there; calling it again does nothing. Where the disk refuses, nobody waits for us."""
        if self._file is not None:
            return
        with suppress(OSError):
            private_folder(self._path.parent)
            file = self._path.open("w", encoding="ascii")
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(str(self._size))
            file.flush()
            self._file = file

    def leave(self) -> None:
        """Be there no more; calling it again does nothing."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def places(home: Home) -> list[int]:
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
