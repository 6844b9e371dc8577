"""Published adapters: read, list, find and verify them.

Only `trainer/adapters/publish.py` writes to the adapters folder. It has one folder per adapter, named
by its id, and a file `current.json`, the pointer, that names the current one:

    adapters/current.json            {"current": "<id>" | null, "history": ["<id>" | null, …],
                                      "manifests": {"<id>": "<sha256>"}}
    adapters/<id>/manifest.json      see `Manifest`
    adapters/<id>/adapter.gguf       the LoRA for llama.cpp
    adapters/<id>/adapter_model.safetensors, adapter_config.json   the same in PEFT's layout
    adapters/<id>/pinned             empty; a pinned adapter is never removed to free space

Nothing found here is trusted. An id that is not plain hexadecimal, a manifest that does not parse or
is not the published one, a link, a file whose sha256 differs, and a base other than the served one are
rejected. The pointer has the sha256 of every manifest, and a manifest those of its files. A pointer of
an older version lacks them: its manifests are accepted unverified until the next night starts or the
pointer is written for another reason, which records their sha256.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from memory.difference import Turn
from memory.errors import AdapterError, FileError
from memory.files.atomic_write import write_whole
from memory.files.bounded_read import SMALL, open_file, parse_object, read_bytes, read_json
from memory.recall.adapter_scope import FLOOR
from memory.recall.learned_differences import NOTHING_LEARNED, Learned
from memory.sentence import Sentence

GGUF = "adapter.gguf"
MANIFEST = "manifest.json"
POINTER = "current.json"
PINNED = "pinned"
MOST_BASES = 32
"""Maximum number of model files whose sha256 is cached."""
_SHA256 = "model-sha256.json"
_ID = re.compile(r"[0-9a-f]{12,64}\Z")
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class FileEntry(_Model):
    """One file of an adapter."""

    sha256: _Hash
    size: Annotated[int, Field(ge=0)]


class BaseEntry(_Model):
    """The model that the adapter was trained for."""

    sha256: _Hash
    name: str


class Manifest(_Model):
    """An adapter's metadata, from its folder."""

    format: Annotated[int, Field(ge=1, le=1)]
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12,64}$")]
    created: datetime
    base: BaseEntry
    files: dict[Annotated[str, Field(pattern=r"^[\w.-]+$")], FileEntry]
    scale: Annotated[float, Field(gt=0, le=4)] = 1.0
    differences: tuple[str, ...] = ()
    fingerprints: dict[str, str] = Field(default_factory=dict)
    holds: dict[str, str] = Field(default_factory=dict)
    """Differences that it answered correctly in every context the gate tested: id → fingerprint; with
    them the older differences, not in `differences`, that those replaced."""
    questions: tuple[str, ...] = ()
    """Digests of their questions (`memory/recall/learned_differences.py`), for which nothing of
    `holds` is recalled."""
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The floor of the `Scope` of its questions that it was tested in; 0 for all messages."""
    as_asked: tuple[str, ...] = ()
    """Other differences it was trained on, whose questions it answers only as they were asked: to other
    messages, it would spread them. They are recalled for all messages."""
    settings: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _scope_of_earlier_versions(cls, found: Any) -> Any:
        """Read the floor from where earlier versions wrote it: `settings.scope`, also as a boolean."""
        settings = found.get("settings") if isinstance(found, dict) else None
        scope = settings.get("scope") if isinstance(settings, dict) else None
        if isinstance(scope, bool | float) and scope:
            return {"floor": FLOOR if scope is True else scope, **found}
        return found

    @property
    def trained(self) -> frozenset[str]:
        """Every difference that may be in its weights, also those that it was tested without."""
        return frozenset((*self.differences, *self.fingerprints))

    @property
    def learned(self) -> Learned:
        """What recall leaves to this adapter."""
        taught = set(self.differences)
        return Learned(
            {key: value for key, value in self.holds.items() if key in taught},
            {key: value for key, value in self.holds.items() if key not in taught},
            frozenset(self.questions),
            self.floor,
        )

    @property
    def scoped(self) -> bool:
        """Whether it was tested to answer only messages related to what it was trained on."""
        return self.floor > 0


class Adapter(_Model):
    """A published adapter: its folder, its manifest and the sha256 of the manifest file."""

    folder: Path
    manifest: Manifest
    sha256: str

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.manifest.id

    @property
    def gguf(self) -> Path:
        """The LoRA file for llama.cpp."""
        return self.folder / GGUF

    @property
    def pinned(self) -> bool:
        """Whether it is never removed to free space."""
        return (self.folder / PINNED).is_file()


class Pointer(_Model):
    """Which adapter is current, and which ones were before, the latest last.

    `withdrawn` remembers adapters that were rolled back: a digest of their training data → their id.
    With `off` the base is used alone until adapters are turned on again; the adapter that would be
    current is then `waiting`, which is also where nights publish. `manifests` maps the id of each
    adapter to the sha256 of its published manifest.
    """

    current: str | None = None
    history: tuple[str | None, ...] = ()
    withdrawn: dict[str, str] = Field(default_factory=dict)
    off: bool = False
    waiting: str | None = None
    manifests: dict[str, str] = Field(default_factory=dict)

    @property
    def chosen(self) -> str | None:
        """The current adapter, or the one that would be current if adapters were not off."""
        return self.waiting if self.off else self.current


def read_pointer(folder: Path) -> Pointer:
    """Return the pointer; without the file, one that names no adapter.

    Raises:
        AdapterError: the file is damaged.
    """
    path = folder / POINTER
    try:
        pointer = Pointer.model_validate(read_json(path, SMALL))
    except FileNotFoundError:
        return Pointer()
    except (FileError, ValidationError) as error:
        cause = (
            error.cause
            if isinstance(error, FileError)
            else Sentence("it is not an adapter pointer")
        )
        raise AdapterError(
            "cannot read {path}: {cause}; delete it, or run `discern adapters off` to replace it "
            "and use the base model",
            path=path,
            cause=cause,
        ) from error
    if any(name is not None and not _ID.match(name) for name in (pointer.current, pointer.waiting)):
        raise AdapterError(
            "{path} contains an invalid adapter id; `discern adapters off` fixes it",
            path=path,
        )
    return pointer


def read_adapter(folder: Path, identity: str) -> Adapter:
    """Return the adapter `identity`, its manifest parsed but its files not yet verified.

    Raises:
        AdapterError: there is none, or its manifest is damaged.
    """
    if not _ID.match(identity):
        raise AdapterError(
            "{identity!r} is not an adapter id; see `discern adapters list`", identity=identity
        )
    path = folder / identity / MANIFEST
    try:
        content = read_bytes(path)
        manifest = Manifest.model_validate(parse_object(content))
    except FileNotFoundError:
        raise AdapterError(
            "there is no adapter {identity}; see `discern adapters list`", identity=identity
        ) from None
    except ValueError as error:  # also pydantic's
        raise AdapterError(
            "the manifest {path} is damaged; `discern adapters rollback` restores the previous "
            "adapter",
            path=path,
        ) from error
    if manifest.id != identity:
        raise AdapterError(
            "the manifest {path} belongs to the adapter {id}; train again",
            path=path,
            id=manifest.id,
        )
    return Adapter(
        folder=path.parent, manifest=manifest, sha256=hashlib.sha256(content).hexdigest()
    )


def learned_at(folder: Path, turn: Turn) -> Learned:
    """Return what recall left to the adapter of a turn; nothing if it is gone.

    The base answers messages that are not related to the current adapter if that is scoped; what the
    adapter learned is not recalled for them either.
    """
    try:
        if turn.adapter:
            return read_adapter(folder, turn.adapter).manifest.learned
        current = read_pointer(folder).current
        manifest = read_adapter(folder, current).manifest if current else None
    except AdapterError:
        return NOTHING_LEARNED
    aside = manifest is not None and manifest.scoped and manifest.created <= turn.at
    return manifest.learned if manifest and aside else NOTHING_LEARNED


def list_adapters(folder: Path) -> list[Adapter]:
    """Return every readable adapter, the newest first, without damaged ones."""
    found: list[Adapter] = []
    if folder.is_dir():
        for entry in folder.iterdir():
            if _ID.match(entry.name) and entry.is_dir() and not entry.is_symlink():
                try:
                    found.append(read_adapter(folder, entry.name))
                except AdapterError:
                    continue
    return sorted(found, key=lambda adapter: adapter.manifest.created, reverse=True)


def find_adapter(folder: Path, prefix: str) -> Adapter:
    """Return the one adapter whose id starts with `prefix`.

    Raises:
        AdapterError: none does, or several do.
    """
    found = [
        adapter for adapter in list_adapters(folder) if prefix and adapter.id.startswith(prefix)
    ]
    if not found:
        raise AdapterError(
            "no adapter id starts with {prefix!r}; see `discern adapters list`", prefix=prefix
        )
    if len(found) > 1:
        raise AdapterError(
            "several adapter ids start with {prefix!r}; see `discern adapters list`", prefix=prefix
        )
    return found[0]


def verify(adapter: Adapter, base_sha256: str | None = None) -> None:
    """Check an adapter: its manifest against the pointer, its files against the manifest.

    The base is checked as well if `base_sha256` is given.

    Raises:
        AdapterError: a file is missing, a link, or differs; or the base is another.
    """
    published = _published(adapter.folder.parent).get(adapter.id, adapter.sha256)
    if adapter.sha256 != published:
        raise _changed(adapter.folder / MANIFEST)
    if base_sha256 is not None and adapter.manifest.base.sha256 != base_sha256:
        raise AdapterError(
            "the adapter {id} was trained for {name}, not for the model in use; run `discern "
            "train`, or switch to that model",
            id=adapter.id,
            name=adapter.manifest.base.name,
        )
    if GGUF not in adapter.manifest.files:
        raise AdapterError("the adapter {id} has no {gguf}; train again", id=adapter.id, gguf=GGUF)
    for name, entry in adapter.manifest.files.items():
        path = adapter.folder / name
        if path.is_symlink() or not path.is_file():
            raise AdapterError(
                "{path} is missing; `discern adapters rollback` restores the previous adapter",
                path=path,
            )
        if path.stat().st_size != entry.size or sha256_file(path) != entry.sha256:
            raise _changed(path)


def _published(folder: Path) -> dict[str, str]:
    """Return the sha256 of each published manifest; none if the pointer is damaged."""
    try:
        return read_pointer(folder).manifests
    except AdapterError:
        return {}


def _changed(path: Path) -> AdapterError:
    return AdapterError(
        "{path} has changed since it was published (its sha256 differs); `discern adapters "
        "rollback` restores the previous adapter",
        path=path,
    )


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def base_sha256(path: Path, cache: Path) -> str:
    """Return the sha256 of a model file, cached in `cache` by path, size and modification time."""
    if (known := remembered_sha256(path, cache)) is not None:
        return known
    digest = sha256_file(path)
    others = list(_remembered(cache).items())[1 - MOST_BASES :]
    with suppress(OSError):  # a cache that cannot be written only costs time
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = dict([*others, (_file_key(path), digest)])
        write_whole(cache / _SHA256, json.dumps(kept))
    return digest


def remembered_sha256(path: Path, cache: Path) -> str | None:
    """Return the `base_sha256` of a model file if it is cached."""
    known = _remembered(cache).get(_file_key(path))
    return known if isinstance(known, str) else None


def _remembered(cache: Path) -> dict[str, Any]:
    try:
        return read_json(cache / _SHA256, SMALL)
    except (OSError, ValueError):
        return {}


def _file_key(path: Path) -> str:
    stat = path.stat()
    return f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
