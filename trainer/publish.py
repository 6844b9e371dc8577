"""The only writer of the adapters folder (its format: `agent/adapters.py`).

An adapter becomes visible in one rename and serves from one more: files are copied into a temporary
folder on the same volume, each is flushed to disk, a manifest with the sha256 of every file is
written, the folder gets its final name, and only then the pointer `current.json` is replaced. A crash
or a full disk at any point leaves the adapter that served before in force; `sweep` removes what was
left half done. One lock file keeps two writers apart. Going back only moves the pointer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.adapters import (
    GGUF,
    MANIFEST,
    POINTER,
    Adapter,
    BaseEntry,
    FileEntry,
    Manifest,
    Pointer,
    list_adapters,
    read_adapter,
    read_pointer,
    sha256_file,
    verify,
)
from memory.difference import now
from memory.errors import AdapterError, HomeError
from memory.home import Home

FILES = (GGUF, "adapter_model.safetensors", "adapter_config.json")
_TEMPORARY = ".tmp-"
_SPARE = 1 << 20
_HISTORY = 50


def publish(
    home: Home,
    candidate: Path,
    *,
    base: BaseEntry,
    scale: float = 1.0,
    differences: Sequence[str] = (),
    fingerprints: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
    created: datetime | None = None,
) -> Adapter:
    """Copy the files of `candidate` into the adapters folder and let them serve.

    Raises:
        AdapterError: the candidate lacks a file.
        HomeError: the disk is full or cannot be written; the adapter before serves on.
    """
    missing = [name for name in FILES if not (candidate / name).is_file()]
    if missing:
        raise AdapterError(f"the candidate {candidate} has no {missing[0]}; train again")
    created = created or now()
    with _writing(home) as folder:
        size = sum((candidate / name).stat().st_size for name in FILES)
        free = shutil.disk_usage(folder).free
        if free < size + _SPARE:
            raise HomeError(
                f"the new adapter takes {size / 1e6:.1f} MB and {folder} has {free / 1e6:.1f} MB "
                "free; make room and train again, the adapter before serves on"
            )
        temporary = folder / f"{_TEMPORARY}{secrets.token_hex(8)}"
        try:
            temporary.mkdir()
            entries: dict[str, FileEntry] = {}
            for name in FILES:
                shutil.copyfile(candidate / name, temporary / name)
                flush(temporary / name)
                entries[name] = FileEntry(
                    sha256=sha256_file(temporary / name), size=(temporary / name).stat().st_size
                )
            manifest = Manifest(
                format=1,
                id=_identity(entries, base, created),
                created=created,
                base=base,
                files=entries,
                scale=scale,
                differences=tuple(differences),
                fingerprints=dict(fingerprints or {}),
                settings=dict(settings or {}),
                metrics=dict(metrics or {}),
                versions=dict(versions or {}),
            )
            (temporary / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
            flush(temporary / MANIFEST)
            flush(temporary)
            temporary.rename(folder / manifest.id)
            flush(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        adapter = read_adapter(folder, manifest.id)
        _point(folder, manifest.id)
    return adapter


def select(home: Home, identity: str | None) -> None:
    """Let the adapter `identity` serve; None lets the base serve alone.

    Raises:
        AdapterError: there is no such adapter, or a file of it is damaged.
    """
    with _writing(home) as folder:
        if identity is not None:
            verify(read_adapter(folder, identity))
        _point(folder, identity)


def rollback(home: Home) -> str | None:
    """Go back to what served before the current adapter; returns its id, None for the base.

    Raises:
        AdapterError: nothing served before.
    """
    with _writing(home) as folder:
        pointer = read_pointer(folder)
        history = list(pointer.history)
        while history:
            before = history.pop()
            if before is None or (folder / before / MANIFEST).exists():
                _write_pointer(folder, Pointer(current=before, history=tuple(history)))
                return before
        raise AdapterError(
            "no adapter served before this one; `discern adapters off` serves the base alone"
        )


def sweep(home: Home) -> int:
    """Remove what a crash left half written; returns how many things were removed."""
    if not home.adapters.is_dir():
        return 0
    with _writing(home) as folder:
        left = [entry for entry in folder.iterdir() if entry.name.startswith(_TEMPORARY)]
        for entry in left:
            _remove(entry)
        return len(left)


def prune(home: Home, keep: int) -> tuple[str, ...]:
    """Remove the oldest adapters beyond the `keep` latest, never the current; returns their ids."""
    if not home.adapters.is_dir():
        return ()
    with _writing(home) as folder:
        current = read_pointer(folder).current
        others = [adapter.id for adapter in list_adapters(folder) if adapter.id != current]
        for identity in others[keep:]:
            doomed = folder / f"{_TEMPORARY}{identity}"
            (folder / identity).rename(doomed)
            _remove(doomed)
        return tuple(others[keep:])


def flush(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _identity(files: Mapping[str, FileEntry], base: BaseEntry, created: datetime) -> str:
    parts = [[name, entry.sha256] for name, entry in sorted(files.items())]
    text = json.dumps([parts, base.sha256, created.isoformat()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _point(folder: Path, identity: str | None) -> None:
    try:
        old = read_pointer(folder)
        if old.current == identity:
            return
    except AdapterError:
        old = Pointer()  # damaged: a new one mends it
    history = (*old.history, old.current)[-_HISTORY:]
    _write_pointer(folder, Pointer(current=identity, history=history))


def _write_pointer(folder: Path, pointer: Pointer) -> None:
    temporary = folder / f"{_TEMPORARY}{secrets.token_hex(8)}"
    try:
        temporary.write_text(pointer.model_dump_json(), encoding="utf-8")
        flush(temporary)
        temporary.replace(folder / POINTER)
        flush(folder)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


@contextmanager
def _writing(home: Home) -> Iterator[Path]:
    """Hold the lock of the adapters folder, and turn a disk's faults into sentences."""
    import fcntl

    folder = home.adapters
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    except HomeError:
        raise
    except OSError as error:
        raise HomeError(
            f"cannot write {error.filename or folder}: {error.strerror}; the adapter before serves "
            "on, mend the cause and try again"
        ) from error
