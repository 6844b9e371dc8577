"""The only writer of the adapters folder (its format: `agent/adapters.py`).

An adapter becomes visible in one rename and serves from one more: files are copied into a temporary
folder on the same volume, each flushed to disk, a manifest with the sha256 of every file is written,
the folder gets its final name, what is there is read back and tried in a child process, and only then
the pointer `current.json` is replaced. A crash, a full disk or a failing one at any point leaves the
adapter that served before in force, or the new one, whole; `sweep` removes what was left half done.
One lock file keeps two writers apart. Going back only moves the pointer, and is remembered: nothing
trained on the same lessons is published again until they change.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.adapters import (
    GGUF,
    MANIFEST,
    PINNED,
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
from memory.errors import AdapterError, HomeError, NothingToTrainError
from memory.files.atomic_write import scratch, settle, sync, write_whole
from memory.files.locks import open_lock
from memory.journal.exported_copies import sweep_home
from memory.settings.paths import private_folder
from memory.settings.settings import Home
from trainer.adapters.pointer import HISTORY, complete, point, served, taught, write_pointer

FILES = (GGUF, "adapter_model.safetensors", "adapter_config.json")
_SPARE = 1 << 20


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """A trained adapter and what its manifest records about it (see `agent.adapters.Manifest`)."""

    candidate: Path
    """The folder that holds `FILES`."""
    base: BaseEntry
    scale: float = 1.0
    differences: Sequence[str] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    holds: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def publish(
    home: Home,
    request: PublishRequest,
    *,
    probe: Callable[[Path], None] = lambda gguf: None,
    last_look: AbstractContextManager[None] | None = None,
) -> Adapter:
    """Copy the adapter into the adapters folder and make it current; while adapters are switched off,
    it waits there.

    `probe` receives the GGUF under its final name before it becomes current, and raises AdapterError
    to refuse it. `last_look` is entered right before the pointer is replaced and left right after, and
    refuses by raising.

    Raises:
        AdapterError: a file is missing or is a link, or the probe refuses it.
        HomeError: the disk is full or cannot be written.
        In every case the current adapter is unchanged and nothing of the new one remains.
    """
    candidate, base, created = request.candidate, request.base, now()
    for name in FILES:
        if (candidate / name).is_symlink() or not (candidate / name).is_file():
            raise AdapterError(
                "the candidate {candidate} has no {name}; train again",
                candidate=candidate,
                name=name,
            )
    with _writing(home) as folder:
        size = sum((candidate / name).stat().st_size for name in FILES)
        free = shutil.disk_usage(folder).free
        if free < size + _SPARE:
            raise HomeError(
                "the new adapter takes {size:.1f} MB and {folder} has {free:.1f} MB free; "
                "make room and train again, the adapter before serves on",
                size=size / 1e6,
                folder=folder,
                free=free / 1e6,
            )
        with scratch(folder) as place:
            part = place / "adapter"
            part.mkdir()
            entries: dict[str, FileEntry] = {}
            for name in FILES:
                _copy(candidate / name, part / name)
                entries[name] = FileEntry(
                    sha256=sha256_file(part / name), size=(part / name).stat().st_size
                )
            manifest = Manifest(
                format=1,
                id=_identity(entries, base, created),
                created=created,
                base=base,
                files=entries,
                scale=request.scale,
                differences=tuple(request.differences),
                fingerprints=dict(request.fingerprints),
                holds=dict(request.holds),
                settings=dict(request.settings),
                metrics=dict(request.metrics),
                versions=dict(request.versions),
            )
            (part / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
            settle(part, folder / manifest.id)
        try:
            adapter = read_adapter(folder, manifest.id)
            verify(adapter, base.sha256)
            probe(adapter.gguf)
            with last_look or nullcontext():
                point(folder, manifest.id)
        except BaseException:
            if served(folder) != manifest.id:
                _retire(folder / manifest.id)
            raise
    return adapter


def select(home: Home, identity: str | None) -> None:
    """Let the adapter `identity` serve, also when adapters were off; None lets the base serve alone
    until the next adapter is published.

    Raises:
        AdapterError: there is no such adapter, or a file of it is damaged.
    """
    with _writing(home) as folder:
        if identity is not None:
            verify(read_adapter(folder, identity))
        point(folder, identity, anew=identity is not None)


def switch_off(home: Home) -> str | None:
    """Let the base serve alone until `switch_on`, `select` or `rollback`, whatever is published in the
    meantime; returns the adapter that waits."""
    with _writing(home) as folder:
        try:
            pointer = read_pointer(folder)
        except AdapterError:
            pointer = Pointer()  # damaged: a new one mends it
        if not pointer.off:
            history = (*pointer.history, pointer.current)[-HISTORY:]
            off = {"current": None, "history": history, "off": True, "waiting": pointer.current}
            pointer = pointer.model_copy(update=off)
            write_pointer(folder, pointer)
        return pointer.waiting


def switch_on(home: Home) -> str | None:
    """Let serve what waits since adapters were switched off; returns what serves now.

    Raises:
        AdapterError: it is gone or damaged; adapters stay off.
    """
    with _writing(home) as folder:
        pointer = read_pointer(folder)
        if pointer.off:
            if pointer.waiting is not None:
                verify(read_adapter(folder, pointer.waiting))
            point(folder, pointer.waiting, anew=True)
        return read_pointer(folder).current


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
            if before is None or _whole(folder, before):
                withdrawn = dict(pointer.withdrawn)
                if pointer.chosen not in (None, before):
                    with suppress(AdapterError):  # a damaged one cannot be told again anyway
                        manifest = read_adapter(folder, str(pointer.chosen)).manifest
                        withdrawn[taught(manifest.base, manifest.fingerprints)] = manifest.id
                back = {
                    "current": before,
                    "history": tuple(history),
                    "withdrawn": withdrawn,
                    "off": False,
                    "waiting": None,
                }
                write_pointer(folder, pointer.model_copy(update=back))
                return before
        raise AdapterError(
            "no adapter served before this one; `discern adapters off` serves the base alone"
        )


def require_not_withdrawn(home: Home, base: BaseEntry, fingerprints: Mapping[str, str]) -> None:
    """Refuse to train again what a person went back from, unless its lessons changed.

    Raises:
        NothingToTrainError: an adapter trained on exactly these was rolled back.
    """
    try:
        identity = read_pointer(home.adapters).withdrawn.get(taught(base, fingerprints))
    except AdapterError:
        return
    if identity is not None:
        raise NothingToTrainError(
            "you went back from the adapter {identity}, which was trained on exactly these "
            "{fingerprints} differences; mark or edit one, `discern adapters use "
            "{identity}` takes it again, or `discern train --force` trains anew",
            identity=identity[:8],
            fingerprints=len(fingerprints),
        )


def pin(home: Home, identity: str, on: bool = True) -> None:
    """Keep an adapter from ever being removed to make room, or let it go again.

    Raises:
        AdapterError: there is no such adapter.
    """
    with _writing(home) as folder:
        path = read_adapter(folder, identity).folder / PINNED
        if on and not path.exists():
            write_whole(path, b"")
        elif not on:
            path.unlink(missing_ok=True)
            sync(path.parent)


def sweep(home: Home) -> int:
    """Remove what killed writers left in the home; returns how many things were removed.

    A pointer of an older version is completed by the way.
    """
    if home.adapters.is_dir():
        with _writing(home) as folder:
            complete(folder)
    return sweep_home(home)


def prune(home: Home, keep: int) -> tuple[str, ...]:
    """Remove the oldest adapters beyond the `keep` latest; returns their ids.

    Never the current one nor a pinned one, and nothing at all while the pointer is damaged or where a
    link leads out of the home. What the disk refuses to give up is left for the next time.
    """
    if not home.adapters.is_dir() or not home.holds(home.adapters):
        return ()
    with _writing(home) as folder:
        try:
            current = read_pointer(folder).chosen
        except AdapterError:
            return ()
        others = [item for item in list_adapters(folder) if item.id != current and not item.pinned]
        return tuple(item.id for item in others[keep:] if _retire(item.folder))


def _whole(folder: Path, identity: str) -> bool:
    """Whether an adapter is there and as it was published."""
    try:
        verify(read_adapter(folder, identity))
    except AdapterError:
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    """Copy a file; a link is refused rather than followed."""
    handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as read, target.open("xb") as written:
        shutil.copyfileobj(read, written, 1 << 20)


def _retire(adapter: Path) -> bool:
    """Take an adapter's name away, so that nobody reads a half of it, and then its files."""
    try:
        with scratch(adapter.parent) as place:
            adapter.rename(place / adapter.name)
    except OSError:
        return False
    return True


def _identity(files: Mapping[str, FileEntry], base: BaseEntry, created: datetime) -> str:
    parts = [[name, entry.sha256] for name, entry in sorted(files.items())]
    text = json.dumps([parts, base.sha256, created.isoformat()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def _writing(home: Home) -> Iterator[Path]:
    """Hold the lock of the adapters folder, and turn a disk's faults into sentences."""
    import fcntl

    folder = home.adapters
    try:
        if not folder.is_dir():
            private_folder(folder)
            sync(folder.parent)
        with open_lock(folder / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    except HomeError:
        raise
    except OSError as error:
        raise HomeError(
            "cannot write {filename}: {strerror}; the adapter before serves on, mend the "
            "cause and try again",
            filename=error.filename or folder,
            strerror=error.strerror,
        ) from error
