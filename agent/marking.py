"""Marking: what a person types after `/diff`, which reply it is about, and the receipt.

Reads text into the arguments of `Chat.mark`; keeps nothing itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memory.difference import Difference, Moment, Turn
from memory.errors import MarkError
from memory.home import Home, Settings
from memory.journal import Journal
from memory.kinds import find_kind, in_words
from memory.language import tr
from memory.room import with_room
from memory.threads import LAST_THREAD

if TYPE_CHECKING:
    from memory.memory import Memory

__all__ = ["LAST_THREAD", "Receipt", "forget", "last_turn", "parse_mark", "receipt"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was kept of a mark, and a sentence that says so."""

    difference: Difference
    text: str


def last_turn(journal: Journal, thread: str | None = None, turn: str | None = None) -> Turn:
    """Return the turn named `turn`, by default the latest of `thread`, which is the one last spoken in.

    `turn` is the beginning of an id, or "" where nothing was said yet.

    Raises:
        MarkError: there is none.
        UnknownIdError: no turn has that id, or several do.
    """
    if turn:
        return journal.turn(turn)
    name = thread or journal.fact(LAST_THREAD)
    found = journal.branch(name, limit=1) if name and turn is None else []
    if not found:
        raise MarkError("there is no reply to mark yet; ask something first")
    return found[0]


def receipt(difference: Difference, settings: Settings) -> str:
    """Return the sentence that says what was kept of a mark and when it will be trained."""
    what = tr(difference.moment)
    if difference.kind:
        what += f" ({in_words(difference.kind)})"
    if difference.version > 1:
        what += ", " + tr("version {number}", number=difference.version)
    kept = tr("Kept as {what}, {id}.", what=what, id=difference.id[:8])
    if not difference.teaches:
        later = tr(
            "It will be recalled; to have it trained too, say how it should have sounded (/contrast)."
        )
    elif settings.night.enabled:
        time = settings.night.time
        later = tr("Recalled from now on, trained tonight at {time}.", time=time)
    else:
        later = tr("Recalled from now on, trained when you run /train.")
    return f"{kept} {later}"


def forget(home: Home, memory: Memory, prefix: str) -> Difference:
    """Forget a difference everywhere: journal, index, the talk it was marked in, what trainings left.

    Raises:
        UnknownIdError: no difference has an id that starts with `prefix`, or several have.
        HomeError: a file cannot be written; calling it again goes on where it stopped.
    """
    from agent.erasing import erase_from_runs
    from agent.leftovers import sweep
    from agent.threads import erase_thread

    difference = memory.journal.difference(prefix)
    others = [item for item in memory.journal.of_turns([difference.turn]) if item != difference]
    if not others:  # else the turn is theirs, too, and stays
        # The talk first: with the difference gone, nothing would remember which turn is to erase.
        erase_thread(home.checkpoints, difference.thread)
    erase_from_runs(home, memory.history(difference.id))
    sweep(home, memory.journal)
    return with_room(home.journal, lambda: memory.forget(difference.id))


_MOMENTS = {
    "error": Moment.ERROR,
    "ошибка": Moment.ERROR,
    "surprise": Moment.SURPRISE,
    "удивление": Moment.SURPRISE,
    "hold": Moment.HOLD,
    "держит": Moment.HOLD,
}
_LINES = re.compile(r"(?:^|\s)(missed|lost):\s*", re.IGNORECASE)


def parse_mark(text: str) -> dict[str, Any]:
    """Read `[error|surprise|hold] [kind] [note] [missed: …] [lost: …] [=> how it should sound]`.

    Returns the keyword arguments of `Chat.mark`. Without a moment it is an error when `=>` follows,
    else a surprise. A kind is a family (`tactical`), `family/type`, or a type that stands alone.
    """
    before, arrow, after = text.partition("=>")
    first, _, rest = before.strip().partition(" ")
    moment = _MOMENTS.get(first.lower())
    if moment is None:
        moment, rest = (Moment.ERROR if arrow else Moment.SURPRISE), before
    rest = rest.strip()
    first, _, remaining = rest.partition(" ")
    kind = find_kind(first) if first else None
    if kind is not None and (not remaining or not kind.type or "/" in first):
        rest = remaining
    else:
        kind = None
    note, *labelled = _LINES.split(rest)
    lines = dict(zip((name.lower() for name in labelled[::2]), labelled[1::2], strict=True))
    return {
        "moment": moment,
        "kind": kind.name if kind else None,
        "note": note.strip() or None,
        "missed": lines.get("missed"),
        "lost": lines.get("lost"),
        "sounds": after.strip() if arrow else None,
    }
