"""The pointer to the serving adapter; `trainer/adapters/publish.py` holds the lock while it is written.

It is replaced in one rename. While a person has switched adapters off, a new one only comes to wait.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from agent.adapters import POINTER, BaseEntry, Pointer, list_adapters, read_pointer
from memory.errors import AdapterError
from memory.files.atomic_write import write_whole

HISTORY = 50
"""Adapters that served before, and such as were gone back from, that are remembered."""


def served(folder: Path) -> str | None:
    """Return what serves, or waits while adapters are off; None too where the pointer is damaged."""
    try:
        return read_pointer(folder).chosen
    except AdapterError:
        return None


def taught(base: BaseEntry, fingerprints: Mapping[str, str]) -> str:
    """Return a digest of what an adapter is trained on, and for which base."""
    text = json.dumps([base.sha256, sorted(fingerprints.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def point(folder: Path, identity: str | None, *, anew: bool = False) -> None:
    """Let `identity` serve, or wait while adapters are off, unless a person chooses `anew`."""
    try:
        old = read_pointer(folder)
        if old.off and not anew:
            write_pointer(folder, old.model_copy(update={"waiting": identity}))
            return
        if old.current == identity and not old.off:
            return
    except AdapterError:
        old = Pointer()  # damaged: a new one mends it
    # Who chooses an adapter anew has forgiven it.
    withdrawn = {taught: name for taught, name in old.withdrawn.items() if name != identity}
    chosen = {
        "current": identity,
        "history": (*old.history, old.current)[-HISTORY:],
        "withdrawn": dict([*withdrawn.items()][-HISTORY:]),
        "off": False,
        "waiting": None,
    }
    write_pointer(folder, old.model_copy(update=chosen))


def write_pointer(folder: Path, pointer: Pointer) -> None:
    """Replace the pointer in one rename, with the sha256 of every manifest."""
    pointer = pointer.model_copy(update={"manifests": _manifests(folder, pointer)})
    write_whole(folder / POINTER, pointer.model_dump_json())


def complete(folder: Path) -> None:
    """Note the sha256 of each manifest in a pointer that an older version wrote."""
    try:
        pointer = read_pointer(folder)
    except AdapterError:
        return  # it says so where an adapter is to serve
    if _manifests(folder, pointer).keys() - pointer.manifests.keys():
        write_pointer(folder, pointer)


def _manifests(folder: Path, pointer: Pointer) -> dict[str, str]:
    """Return the sha256 of each manifest: as it was noted, else as it is; none of what is gone."""
    found = {item.id: item.sha256 for item in list_adapters(folder)}
    noted = pointer.manifests.items()
    return found | {name: sha256 for name, sha256 in noted if (folder / name).is_dir()}
