"""Write the adapters folder: publish, select, roll back, pin and prune adapters.

Nothing else writes there (the format is in `agent/adapters.py`). Publishing copies the files into a
temporary folder on the same volume, flushes each to disk, writes a manifest with the sha256 of every
file, renames the folder, reads it back, loads it in a child process, and only then replaces the pointer
`current.json`. A crash, a full disk or a failing one at any point leaves either the previous adapter
current or the new one, complete; `sweep` removes what was left unfinished. A lock file separates
writers. A rollback only moves the pointer and is remembered: an adapter trained on the same lessons is
not published again until they change.
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
from memory.files.locks import file_lock
from memory.journal.tables.exported_copies import sweep_home
from memory.recall.learned_differences import NOTHING_LEARNED, Learned
from memory.settings.paths import Home, private_folder
from trainer.adapters.write_pointer import (
    HISTORY,
    add_missing_hashes,
    chosen_adapter,
    set_current,
    training_digest,
    write_pointer,
)

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
    as_asked: Sequence[str] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    learned: Learned = NOTHING_LEARNED
    settings: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def publish(
    home: Home,
    request: PublishRequest,
    *,
    probe: Callable[[Path], None] = lambda gguf: None,
    guard: AbstractContextManager[None] | None = None,
) -> Adapter:
    """Copy the adapter into the adapters folder and make it current.

    While adapters are off it is pending there.

    `probe` receives the GGUF under its final name before it becomes current, and raises AdapterError
    to refuse it. `guard` is entered right before the pointer is replaced and left right after; it
    refuses the adapter by raising.

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
                "the new adapter needs {size:.1f} MB, but only {free:.1f} MB are free in "
                "{folder}; free up space and train again (the current adapter is unchanged)",
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
                as_asked=tuple(request.as_asked),
                fingerprints=dict(request.fingerprints),
                holds={**request.learned.replaced, **request.learned.answered},
                questions=tuple(sorted(request.learned.questions)),
                floor=request.learned.floor,
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
            with guard or nullcontext():
                set_current(folder, manifest.id)
        except BaseException:
            if chosen_adapter(folder) != manifest.id:
                _retire(folder / manifest.id)
            raise
    return adapter


def select(home: Home, identity: str | None) -> None:
    """Make the adapter `identity` current, even if adapters are off.

    None means the base without an adapter until the next one is published.

    Raises:
        AdapterError: there is no such adapter, or one of its files is damaged.
    """
    with _writing(home) as folder:
        if identity is not None:
            verify(read_adapter(folder, identity))
        set_current(folder, identity, anew=identity is not None)


def switch_off(home: Home) -> str | None:
    """Use the base without an adapter; return the id of the pending adapter.

    This holds until `switch_on`, `select` or `rollback`, whatever is published meanwhile.
    """
    with _writing(home) as folder:
        try:
            pointer = read_pointer(folder)
        except AdapterError:
            pointer = Pointer()  # damaged: replace it
        if not pointer.off:
            history = (*pointer.history, pointer.current)[-HISTORY:]
            off = {"current": None, "history": history, "off": True, "waiting": pointer.current}
            pointer = pointer.model_copy(update=off)
            write_pointer(folder, pointer)
        return pointer.waiting


def switch_on(home: Home) -> str | None:
    """Make the adapter current that is pending while adapters are off; return its id.

    Raises:
        AdapterError: it is missing or damaged; adapters stay off.
    """
    with _writing(home) as folder:
        pointer = read_pointer(folder)
        if pointer.off:
            if pointer.waiting is not None:
                verify(read_adapter(folder, pointer.waiting))
            set_current(folder, pointer.waiting, anew=True)
        return read_pointer(folder).current


def rollback(home: Home) -> str | None:
    """Go back to the previous adapter; return its id, None for the base.

    Raises:
        AdapterError: there is no previous adapter.
    """
    with _writing(home) as folder:
        pointer = read_pointer(folder)
        history = list(pointer.history)
        while history:
            before = history.pop()
            if before is None or _whole(folder, before):
                withdrawn = dict(pointer.withdrawn)
                if pointer.chosen not in (None, before):
                    with suppress(AdapterError):  # a damaged one cannot be recognised anyway
                        manifest = read_adapter(folder, str(pointer.chosen)).manifest
                        withdrawn[training_digest(manifest.base, manifest.fingerprints)] = (
                            manifest.id
                        )
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
            "there is no earlier adapter to return to; to use the base model alone, run `discern "
            "adapters off`"
        )


def require_not_withdrawn(home: Home, base: BaseEntry, fingerprints: Mapping[str, str]) -> None:
    """Refuse to repeat a training whose adapter the user rolled back, unless its lessons changed.

    Raises:
        NothingToTrainError: an adapter trained on exactly these was rolled back.
    """
    try:
        identity = read_pointer(home.adapters).withdrawn.get(training_digest(base, fingerprints))
    except AdapterError:
        return
    if identity is not None:
        raise NothingToTrainError(
            "the adapter {identity}, trained on exactly these differences ({count}), was rolled "
            "back; mark or edit a difference, restore the adapter with `discern adapters use "
            "{identity}`, or run `discern train --force` to train again",
            identity=identity[:8],
            count=len(fingerprints),
        )


def pin(home: Home, identity: str, on: bool = True) -> None:
    """Protect an adapter from `prune`, or end that protection.

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
    """Remove what interrupted writers left in the home; return how many items were removed.

    A pointer written by an older version gets its missing hashes.
    """
    if home.adapters.is_dir():
        with _writing(home) as folder:
            add_missing_hashes(folder)
    return sweep_home(home)


def prune(home: Home, keep: int) -> tuple[str, ...]:
    """Remove all adapters but the latest `keep`; return the removed ids.

    The current adapter and pinned ones are kept. Nothing is removed while the pointer is damaged or if
    the folder is a link out of the home. What cannot be removed is left for the next time.
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
    """Whether an adapter exists and is unchanged since it was published."""
    try:
        verify(read_adapter(folder, identity))
    except AdapterError:
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    """Copy a file, but not a link."""
    handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as read, target.open("xb") as written:
        shutil.copyfileobj(read, written, 1 << 20)


def _retire(adapter: Path) -> bool:
    """Rename an adapter, so that no one reads it in part, then delete it."""
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
    """Hold the lock of the adapters folder, and raise errors of the disk as HomeError."""
    folder = home.adapters
    try:
        if not folder.is_dir():
            private_folder(folder)
            sync(folder.parent)
        with file_lock(folder / ".lock", wait=True):
            yield folder
    except HomeError:
        raise
    except OSError as error:
        raise HomeError(
            "cannot write {filename}: {strerror}; fix the problem and try again (the current "
            "adapter is unchanged)",
            filename=error.filename or folder,
            strerror=error.strerror,
        ) from error
