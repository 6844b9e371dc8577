"""Where a mark stands, as one sign beside its reply: told without colour, coloured by its family.

A mark waits, is trained in last night's adapter, held through a later night too, or still fails. What
held before is read from the adapters that served: nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from memory.difference import Difference, State
from memory.errors import DiscernError


@dataclass(frozen=True, slots=True)
class Fate:
    """A sign of the gutter and what it says."""

    sign: str
    meaning: str


WAITING = Fate("◆", "waits for the next night")
BARE = Fate("◇", "kept and recalled, not trained: say how it should have sounded")
TRAINED = Fate("◈", "trained in last night's adapter")
HELD = Fate("✓", "held: an earlier night's, and a later adapter still reproduces it")
FAILING = Fate("✗", "still failing, though trained")
FATES = (WAITING, BARE, TRAINED, HELD, FAILING)

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
"""Colours of the families on a dark and on a light ground; contrast with either at least 4.5."""


def fate(difference: Difference, held: Iterable[str] = ()) -> Fate:
    """Return where a difference stands; `held` are the ids that an earlier adapter knew already."""
    if difference.state is State.TRAINED and difference.id in held:
        return HELD
    return _BY_STATE[difference.state]


def colour(difference: Difference, *, dark: bool) -> str | None:
    """Return the colour of a difference's family; None where it has none or is one's own."""
    pair = FAMILIES.get((difference.kind or "").partition("/")[0])
    return pair[0 if dark else 1] if pair else None


def held_before(adapters: Path) -> frozenset[str]:
    """Return the ids that the serving adapter took over unchanged from the one that served before."""
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
    if then.created > now.created:  # a person went back to an older one
        return frozenset()
    return frozenset(
        name for name, print_ in now.fingerprints.items() if then.fingerprints.get(name) == print_
    )
