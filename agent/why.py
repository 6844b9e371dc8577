"""What was recalled for a turn, and why: scores, matched words, the differences as they stand now.

The journal keeps what recall found at the time. For turns from before it did, the search is made
again and the answer says so. A difference that was forgotten meanwhile is only counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from memory.difference import Difference, Turn
from memory.memory import Memory


@dataclass(frozen=True, slots=True)
class Part:
    """A recalled difference as it stands now; `score` (0 to 1) is None where it is not known."""

    difference: Difference
    score: float | None
    matched: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Why:
    """What stood in a turn's context; `aside` is a sentence on what is not as it was."""

    turn: Turn
    recalled: tuple[Part, ...]
    forgotten: int
    aside: str = ""


def why(memory: Memory, turn: Turn) -> Why:
    """Return what was recalled for `turn`, in its order."""
    stored: Any = getattr(memory.journal, "why", lambda _turn: ())
    fits: dict[str, tuple[float | None, tuple[str, ...]]] = {
        name: (score, tuple(words)) for name, score, words in stored(turn.id)
    }
    found = memory.journal.found(turn.recalled)
    aside: list[str] = []
    if turn.recalled and not fits:
        again = memory.search(turn.asked, limit=50)
        fits = {item.difference.id: (item.score, item.matched) for item in again}
        aside.append("scores as of now: this turn is older than their keeping")
    parts = tuple(Part(item, *fits.get(item.id, (None, ()))) for item in found)
    forgotten = len(turn.recalled) - len(found)
    if forgotten:
        aside.append(f"{forgotten} more {'was' if forgotten == 1 else 'were'} forgotten since")
    return Why(turn, parts, forgotten, "; ".join(aside))
