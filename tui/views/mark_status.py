"""The status of a mark: a sign beside its reply, in the colour of its family.

The sign alone shows the status: waiting, without a better answer, learned, retained or failing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from memory.difference import Difference, State
from memory.errors import DiscernError


@dataclass(frozen=True, slots=True)
class MarkStatus:
    """A sign of the gutter and what it means."""

    sign: str
    meaning: str


WAITING = MarkStatus("◆", "waiting for the next nightly training")
BARE = MarkStatus("◇", "recalled but not trained: add the better answer")
TRAINED = MarkStatus("◈", "learned by the current adapter")
RETAINED = MarkStatus("✓", "retained: learned earlier, still reproduced by the current adapter")
FAILING = MarkStatus("✗", "trained, but the reply is still wrong")
MARK_STATUSES = (WAITING, BARE, TRAINED, RETAINED, FAILING)

_BY_STATE = {
    State.WAITING: WAITING,
    State.BARE: BARE,
    State.TRAINED: TRAINED,
    State.FAILING: FAILING,
}

FAMILIES: Mapping[str, tuple[str, str]] = {
    "semantic": ("#e3aa5c", "#8f5200"),
    "ontological": ("#82b4e8", "#1f5f9e"),
    "paradigmatic": ("#c39be6", "#70389c"),
    "tactical": ("#8fbf8f", "#2f6b34"),
    "intuitive": ("#ea93b2", "#a02a5c"),
}
"""Colours of the families on dark and light backgrounds, with a contrast of at least 4.5."""


def mark_status(difference: Difference, retained: Iterable[str] = ()) -> MarkStatus:
    """Return the status of a difference; `retained` is what `retained_ids` returns."""
    if difference.state is State.TRAINED and difference.id in retained:
        return RETAINED
    return _BY_STATE[difference.state]


def colour(difference: Difference, *, dark: bool) -> str | None:
    """Return the colour of a difference's family; None without a family and for custom ones."""
    pair = FAMILIES.get((difference.kind or "").partition("/")[0])
    return pair[0 if dark else 1] if pair else None


def retained_ids(adapters: Path) -> frozenset[str]:
    """Return the differences that both the current and the previous adapter were trained on."""
    from agent.adapters import find_adapter, read_pointer

    try:
        pointer = read_pointer(adapters)
        if pointer.current is None:
            return frozenset()
        now = find_adapter(adapters, pointer.current).manifest
        earlier = [item for item in pointer.history if item and item != pointer.current]
        if not earlier:
            return frozenset()
        then = find_adapter(adapters, earlier[-1]).manifest
    except (DiscernError, OSError):
        return frozenset()
    if then.created > now.created:  # the user went back to an older one
        return frozenset()
    return frozenset(
        name for name, print_ in now.fingerprints.items() if then.fingerprints.get(name) == print_
    )
