"""The few ways in which bytes reach the disk for good, in the order that survives a power cut.

What has a final name was flushed before it got it, and the folder is flushed after. Every call may
raise OSError; whoever calls removes what it began.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from memory.errors import FileError
from memory.reading import read_bytes

TEMPORARY = ".tmp-"
"""How the names of things begin that are not finished; `trainer.publish.sweep` removes them."""


def flush(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        _sync(handle)
    finally:
        os.close(handle)


def copy(source: Path, target: Path) -> None:
    """Copy a file, flushed; a link is refused rather than followed."""
    handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as read, target.open("xb") as written:
        shutil.copyfileobj(read, written, 1 << 20)
        written.flush()
        _sync(written.fileno())


def write(path: Path, content: bytes) -> None:
    """Write a new file, flushed."""
    with path.open("xb") as written:
        written.write(content)
        written.flush()
        _sync(written.fileno())


def rename(source: Path, target: Path) -> None:
    """Give a flushed file or folder its name, for good; what had that name is replaced."""
    source.replace(target)
    flush(target.parent)


def replace(path: Path, content: bytes) -> None:
    """Replace the whole content of `path` at once.

    Whoever reads finds the old content or the new. When the last flush fails the old content is put
    back, so that an error means that nothing changed.
    """
    new, old = temporary(path.parent), temporary(path.parent)
    try:
        write(new, content)
        with contextlib.suppress(FileNotFoundError, FileError):  # nothing of ours to keep
            old.write_bytes(read_bytes(path))
        new.replace(path)
        try:
            flush(path.parent)
        except OSError:
            old.replace(path) if old.exists() else path.unlink()
            raise
    finally:
        for left in (new, old):
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)


def temporary(folder: Path) -> Path:
    """Return a name in `folder`, on the same volume as what it will become."""
    return folder / f"{TEMPORARY}{secrets.token_hex(8)}"


def remove(path: Path) -> None:
    """Remove a file, link or folder as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _sync(handle: int) -> None:
    os.fsync(handle)
    import fcntl

    if hasattr(fcntl, "F_FULLFSYNC"):  # macOS: fsync alone leaves bytes in the drive
        with contextlib.suppress(OSError):
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
