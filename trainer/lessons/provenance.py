"""What a training is made of, and whether it is still there.

A training reads the journal once and may then run for an hour. Meanwhile a mark may be forgotten, taken
back or superseded, or the thread that it was made in deleted. So the journal is looked at while the
training runs, and for the last time inside a write transaction around the moment in which its adapter
begins to serve: whoever takes something away needs that lock, too, and comes either first, so that
nothing is published, or later and finds the adapter named. When the run is over, what is gone from the
journal is taken out of the run's files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from agent.forget.scrubbing import SHORTEST, erase_from_runs, erase_talk_from_runs
from memory.difference import Difference, State, Turn
from memory.errors import SupersededError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from trainer.lessons.conflicts import current_differences

LOOK_SECONDS = 2.0
"""How often a run looks at the journal."""


@dataclass(frozen=True, slots=True)
class Basis:
    """The journal as a training read it; `taught` are the differences that it made lessons of."""

    differences: tuple[Difference, ...]
    taught: tuple[Difference, ...]
    turns: tuple[Turn, ...]


def read_basis(journal: Journal) -> Basis:
    """Return what a training that begins now is made of."""
    with journal.transaction():  # so that all of it is of one moment
        differences = tuple(journal.differences.all())
        return Basis(
            differences, tuple(current_differences(differences)[0]), tuple(journal.turns.all())
        )


def taken_away(journal: Journal, basis: Basis) -> list[str]:
    """Return the ids of what was taught and is not any more: forgotten, taken back, superseded, or
    without the talk that it stood in."""
    present = {item.id: item for item in journal.differences.all()}
    turns = {row["id"] for row in journal.database.rows("select id from turns")}
    threads = {turn.thread for turn in basis.turns if turn.id not in turns}
    return [
        item.id
        for item in basis.taught
        if (now := present.get(item.id)) is None
        or not now.teaches
        or now.before != item.before
        or item.thread in threads
    ]


def require_all(journal: Journal, basis: Basis) -> None:
    """Refuse to go on with a training when something it was made of was taken away.

    Raises:
        SupersededError: in one sentence, which names it by its id.
    """
    if gone := taken_away(journal, basis):
        named = ", ".join(name[:8] for name in gone[:3]) + (", …" if len(gone) > 3 else "")
        raise SupersededError(
            "what was marked in {named} was taken back, superseded or forgotten while it "
            "was trained; nothing was published, `discern train` trains without it",
            named=named,
        )


@contextmanager
def last_look(journal: Journal, basis: Basis) -> Iterator[None]:
    """Hold the journal for the block, in which an adapter begins to serve; nothing can be taken away
    meanwhile.

    Raises:
        SupersededError: something was taken away before.
    """
    with journal.transaction():
        require_all(journal, basis)
        yield


def watching(journal: Journal, basis: Basis) -> Callable[[], None]:
    """Return a function that does what `require_all` does, seldom enough to be called all the time."""
    looked, seen = time.monotonic(), journal.differences.change_count()

    def look() -> None:
        nonlocal looked, seen
        if time.monotonic() - looked < LOOK_SECONDS:
            return
        looked, mark = time.monotonic(), journal.differences.change_count()
        if mark != seen:
            seen = mark
            require_all(journal, basis)

    return look


def settle(journal: Journal, basis: Basis, states: Mapping[str, State]) -> None:
    """Note where each difference stands after the training; one that was edited meanwhile stays as the
    edit left it, for it is the version before that was trained."""
    trained = {item.id: item.fingerprint for item in basis.differences}
    with journal.transaction():
        present = {item.id: item.fingerprint for item in journal.differences.all()}
        journal.differences.set_states(
            {name: state for name, state in states.items() if present.get(name) == trained[name]}
        )


def scrub(home: Home, journal: Journal, basis: Basis) -> int:
    """Take the words of what has gone from the journal since out of the runs' files; returns how many
    files were changed or deleted.

    Raises:
        HomeError: one cannot be written; forgetting it again goes on where it stopped.
    """
    present = {item.id: item for item in journal.differences.all()}
    turns = {turn.id: turn for turn in journal.turns.all()}
    changed = 0
    for item in basis.differences:
        if item.id not in present:
            changed += erase_from_runs(home, [item])
    gone = [turn for turn in basis.turns if turn.id not in turns]
    if gone:
        said = {text for turn in gone for text in (turn.asked, turn.replied)}
        said -= {text for turn in turns.values() for text in (turn.asked, turn.replied)}
        said -= {
            text
            for item in present.values()
            for text in (item.asked, item.replied, item.contrast.sounds)
        }
        changed += erase_talk_from_runs(home, (text for text in said if len(text) >= SHORTEST))
    return changed
