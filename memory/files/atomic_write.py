"""Write a file or folder completely or not at all, readable by its owner only.

The content is written in a separate folder next to its target (`.discern-` and sixteen hex digits),
flushed, and renamed. The folder is locked while its writer runs. A killed writer leaves the folder
unlocked, which is how `sweep` recognises and removes it; every new writer sweeps the folder it writes
to. Links are never followed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor

_SCRATCH = re.compile(r"\.discern-[0-9a-f]{16}")


@contextmanager
def whole(path: Path, *, mode: int = 0o600, new: bool = False) -> Iterator[Path]:
    """Yield a path to write to; after the block it is flushed and renamed to `path`.

    A file gets `mode` whatever the umask; a folder is readable by its owner alone. An existing `path`
    is replaced, or refused with `new`. If the block or anything after it fails, `path` is unchanged.

    Raises:
        OSError: it cannot be written; FileExistsError with `new`, or if `path` is a device.
    """
    if path.is_char_device() or path.is_block_device():
        raise FileExistsError(errno.EEXIST, "it is a device", str(path))
    with scratch(path.parent) as folder:
        part = folder / path.name
        yield part
        settle(part, path, mode=mode, new=new)


def settle(part: Path, path: Path, *, mode: int = 0o600, new: bool = False) -> None:
    """Flush `part`, in a scratch folder beside `path`, and rename it to `path`.

    Raises:
        OSError: as `whole` does; `path` is unchanged.
    """
    _finish(part, mode)
    if new:
        _name(part, path)
        sync(path.parent)
        return
    there, before = os.path.lexists(path), part.with_name(f"{path.name}.before")
    if part.is_dir() and path.is_dir() and not path.is_symlink():
        path.rename(before)
    elif there:
        with suppress(OSError):  # a file system without hard links
            os.link(path, before, follow_symlinks=False)
    try:
        part.replace(path)
        sync(path.parent)
    except OSError:
        with suppress(OSError):
            if (not there and not part.exists()) or (before.is_dir() and path.is_dir()):
                path.rename(part)
            if os.path.lexists(before):
                before.replace(path)
        raise


def write_whole(
    path: Path, content: bytes | str | Iterable[str], *, mode: int = 0o600, new: bool = False
) -> None:
    """Write a file with this content (text as UTF-8); see `whole`."""
    parts = [content] if isinstance(content, bytes | str) else content
    with whole(path, mode=mode, new=new) as part, part.open("xb") as file:
        for piece in parts:
            file.write(piece if isinstance(piece, bytes) else piece.encode())


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Yield a private folder inside `folder`, locked during the block and removed after it.

    Raises:
        OSError: it cannot be created.
    """
    sweep(folder)
    place, lock = _make_scratch(folder)
    try:
        yield place
    finally:
        with suppress(OSError):
            shutil.rmtree(place)
        os.close(lock)


def unfinished(folder: Path, name: str = "") -> list[Path]:
    """Return the scratch folders in `folder`, in use or left over; with `name`, those for it."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _SCRATCH.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                found.append(Path(entry.path))
    return sorted(path for path in found if not name or (path / name).exists())


def sweep(folder: Path) -> int:
    """Remove unused scratch folders of interrupted writes in `folder`; return their number."""
    return sum(_swept(path) for path in unfinished(folder))


def sync(path: Path) -> None:
    """Flush a file or folder to disk.

    Raises:
        OSError: it cannot be opened or synced.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        if hasattr(fcntl, "F_FULLFSYNC"):  # macOS: fsync alone leaves bytes in the drive
            with suppress(OSError):
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    finally:
        os.close(descriptor)


def set_mode(path: Path, mode: int) -> None:
    """Set who may read and write a file or folder of ours, where the file system can tell.

    Raises:
        OSError: it is not there.
    """
    with suppress(PermissionError):  # FAT, as on USB sticks: the mount sets all modes
        path.chmod(mode)


def _make_scratch(folder: Path) -> tuple[Path, int]:
    """Create and lock a folder; use another name if a sweep removed it before the lock."""
    while True:
        made = folder / f".discern-{secrets.token_hex(8)}"
        made.mkdir(0o700)
        try:
            set_mode(made, 0o700)  # whatever the umask
            lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        try:
            locked = lock_descriptor(lock, blocking=False)
        except OSError:  # a file system without locks; there nothing is ever swept
            return made, lock
        if locked and _is_at(lock, made):
            return made, lock
        os.close(lock)


def _swept(made: Path) -> bool:
    try:
        lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if not lock_descriptor(lock, blocking=False):  # its writer is still running
            return False
        if os.fstat(lock).st_uid != os.geteuid() or not _is_at(lock, made):
            return False
        shutil.rmtree(made)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _finish(part: Path, mode: int) -> None:
    """Set the mode of what was written and flush it; a folder from the inside out."""
    if stat.S_ISLNK(part.lstat().st_mode):
        raise FileExistsError(errno.EEXIST, "it is a link", str(part))
    if part.is_dir():
        set_mode(part, 0o700)
        for inner in part.iterdir():
            _finish(inner, 0o600)
    else:
        set_mode(part, mode)
    sync(part)


def _name(part: Path, path: Path) -> None:
    """Rename `part` to a name that is not in use."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        part.replace(path)
