"""Find the reply that a mark is meant for, and the mark that an undo is meant for."""

from __future__ import annotations

import hashlib
import os
import platform

from memory.difference import Difference, Turn, now
from memory.errors import MarkError
from memory.journal.journal import Journal
from memory.journal.tables.threads import LAST_THREAD
from memory.sentence import Sentence


def last_turn(journal: Journal, thread: str | None = None, turn: str | None = None) -> Turn:
    """Return the turn `turn`, by default the latest of `thread`, which defaults to the last one used.

    `turn` is the start of an id, or "" for a thread without turns.

    Raises:
        MarkError: there is none.
        UnknownIdError: no turn has that id, or several do.
    """
    if turn:
        return journal.turns.get(turn)
    name = thread or journal.facts.get(LAST_THREAD)
    found = journal.branches.current(name, limit=1) if name and turn is None else []
    if not found:
        raise MarkError("there is no reply to mark yet; ask something first")
    return found[0]


def terminal_session() -> str:
    """Return an id of the terminal session of this process, the same for all processes in it.

    A terminal tab, a tmux pane and a browser tab are sessions of their own. The id is stored with each
    turn, so that `discern mark` finds the reply of its own terminal. It is a hash that reveals nothing
    about the machine.
    """
    session = os.getsid(0) if hasattr(os, "getsid") else os.getppid()
    return hashlib.sha256(f"{platform.node()}:{session}".encode()).hexdigest()[:16]


JUST_NOW = 60.0
"""Seconds in which the latest turn of another session could be mistaken for one's own."""


def seconds_since_elsewhere(journal: Journal, turn: Turn) -> float | None:
    """Return how long ago another terminal session added `turn`; None if it did not just do so."""
    place, seconds = journal.turns.place_of(turn.id), (now() - turn.at).total_seconds()
    if not place or place == terminal_session() or seconds >= JUST_NOW:
        return None
    return max(0.0, seconds)


def require_spoken_here(journal: Journal, turn: Turn) -> None:
    """Raise MarkError if `turn`, the latest of all, was just added by another terminal session."""
    seconds = seconds_since_elsewhere(journal, turn)
    if seconds is None:
        return
    asked, own = shortened(turn.asked), journal.turns.latest_at(terminal_session())
    mine = (
        Sentence("--turn {own} for the last reply of this session", own=own[:8])
        if own
        else Sentence("--turn ID for another reply")
    )
    raise MarkError(
        "the latest reply belongs to another session ({seconds:.0f} s ago): “{asked}”; choose "
        "which reply to mark: --last for that one, or {mine}",
        seconds=seconds,
        asked=asked,
        mine=mine,
    )


def last_mark(journal: Journal) -> Difference:
    """Return the latest mark, the only one that can be undone without naming it.

    Raises:
        MarkError: there is none, or another session has just made it.
    """
    marks = journal.differences.all()
    if not marks:
        raise MarkError("there is no mark to undo; `discern mark` adds one")
    mark, place = marks[-1], journal.turns.place_of(marks[-1].turn)
    seconds = (now() - mark.at).total_seconds()
    if place and place != terminal_session() and seconds < JUST_NOW:
        raise MarkError(
            "the last mark was made {seconds:.0f} s ago on a reply of another session: “{asked}”; "
            "to undo it, run `discern memory undo {id}`",
            seconds=max(0, seconds),
            asked=shortened(mark.asked),
            id=mark.id[:8],
        )
    return mark


def shortened(text: str, most: int = 60) -> str:
    """Return a text on one line, cut to `most` characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
