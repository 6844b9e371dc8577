"""The pointer to the current adapter; `trainer/adapters/publish.py` holds the lock for writing it.

It is replaced in one rename. While adapters are switched off, a new adapter becomes pending.
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
"""Number of previous and of rolled-back adapters that the pointer remembers."""


def chosen_adapter(folder: Path) -> str | None:
    """Return the id of the current adapter, or of the pending one while adapters are off.

    None if there is none or the pointer is damaged.
    """
    try:
        return read_pointer(folder).chosen
    except AdapterError:
        return None


def training_digest(base: BaseEntry, fingerprints: Mapping[str, str]) -> str:
    """Return a digest of the base and of the differences that an adapter is trained on."""
    text = json.dumps([base.sha256, sorted(fingerprints.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def set_current(folder: Path, identity: str | None, *, anew: bool = False) -> None:
    """Make `identity` current, or pending while adapters are off unless the user chose it (`anew`)."""
    try:
        old = read_pointer(folder)
        if old.off and not anew:
            write_pointer(folder, old.model_copy(update={"waiting": identity}))
            return
        if old.current == identity and not old.off:
            return
    except AdapterError:
        old = Pointer()  # damaged: replace it
    # Choosing an adapter again cancels its rollback.
    withdrawn = {digest: name for digest, name in old.withdrawn.items() if name != identity}
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


def add_missing_hashes(folder: Path) -> None:
    """Add the sha256 of each manifest to a pointer that an older version wrote."""
    try:
        pointer = read_pointer(folder)
    except AdapterError:
        return  # reported when an adapter is loaded
    if _manifests(folder, pointer).keys() - pointer.manifests.keys():
        write_pointer(folder, pointer)


def _manifests(folder: Path, pointer: Pointer) -> dict[str, str]:
    """Return the sha256 of each manifest, as recorded or else as it is now.

    Deleted adapters are left out.
    """
    found = {item.id: item.sha256 for item in list_adapters(folder)}
    noted = pointer.manifests.items()
    return found | {name: sha256 for name, sha256 in noted if (folder / name).is_dir()}
