"""The journal as a training read it, and whether all of it still exists.

A training reads the journal once and may then run for an hour. Meanwhile a mark may be forgotten,
undone or superseded, or its thread deleted. So the journal is checked while the training runs, and once
more inside the write transaction in which its adapter becomes current: removing something needs the
same lock, so it happens either before, and nothing is published, or afterwards, when the manifest of
the adapter names the difference. When the run ends, the text of what was removed is deleted from its
files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from agent.forget.scrub_run_files import (
    MIN_SCRUBBED_CHARACTERS,
    erase_from_runs,
    erase_talk_from_runs,
)
from memory.difference import Difference, State, Turn
from memory.errors import SupersededError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from trainer.lessons.conflicting_lessons import current_differences

LOOK_SECONDS = 2.0
"""Seconds between two checks of the journal during a run."""


@dataclass(frozen=True, slots=True)
class JournalSnapshot:
    """The differences and turns that a training read; `taught` are the differences that teach."""

    differences: tuple[Difference, ...]
    taught: tuple[Difference, ...]
    turns: tuple[Turn, ...]


def take_snapshot(journal: Journal) -> JournalSnapshot:
    """Read the journal for a training."""
    with journal.transaction():  # so that everything is read at the same moment
        differences = tuple(journal.differences.all())
        return JournalSnapshot(
            differences, tuple(current_differences(differences)[0]), tuple(journal.turns.all())
        )


def removed_since(journal: Journal, snapshot: JournalSnapshot) -> list[str]:
    """Return the ids of the taught differences that were removed since the snapshot.

    They were forgotten, undone or superseded, or their conversation was deleted.
    """
    present = {item.id: item for item in journal.differences.all()}
    turns = {row["id"] for row in journal.database.rows("select id from turns")}
    threads = {turn.thread for turn in snapshot.turns if turn.id not in turns}
    return [
        item.id
        for item in snapshot.taught
        if (now := present.get(item.id)) is None
        or not now.teaches
        or now.before != item.before
        or item.thread in threads
    ]


def require_unchanged(journal: Journal, snapshot: JournalSnapshot) -> None:
    """Check that nothing was removed that the training teaches.

    Raises:
        SupersededError: something was removed; the message has the ids.
    """
    if gone := removed_since(journal, snapshot):
        named = ", ".join(name[:8] for name in gone[:3]) + (", …" if len(gone) > 3 else "")
        raise SupersededError(
            "differences were undone, superseded or forgotten during the training ({named}); "
            "nothing was published; run `discern train` to train without them",
            named=named,
        )


@contextmanager
def publication_guard(journal: Journal, snapshot: JournalSnapshot) -> Iterator[None]:
    """Lock the journal while an adapter becomes current, so that nothing is removed meanwhile.

    Raises:
        SupersededError: something was removed before.
    """
    with journal.transaction():
        require_unchanged(journal, snapshot)
        yield


def change_guard(journal: Journal, snapshot: JournalSnapshot) -> Callable[[], None]:
    """Return a function that calls `require_unchanged` after changes, at most every LOOK_SECONDS."""
    looked, seen = time.monotonic(), journal.differences.change_count()

    def look() -> None:
        nonlocal looked, seen
        if time.monotonic() - looked < LOOK_SECONDS:
            return
        looked, mark = time.monotonic(), journal.differences.change_count()
        if mark != seen:
            seen = mark
            require_unchanged(journal, snapshot)

    return look


def record_states(journal: Journal, snapshot: JournalSnapshot, states: Mapping[str, State]) -> None:
    """Record the state of each difference after the training.

    Those edited meanwhile are left out: an earlier version of them was trained.
    """
    trained = {item.id: item.fingerprint for item in snapshot.differences}
    with journal.transaction():
        present = {item.id: item.fingerprint for item in journal.differences.all()}
        journal.differences.set_states(
            {name: state for name, state in states.items() if present.get(name) == trained[name]}
        )


def trained_states(reproduced: Iterable[tuple[str, bool]]) -> dict[str, State]:
    """Return the state of each difference of pairs (its id, whether a lesson of it is reproduced)."""
    states: dict[str, State] = {}
    for name, right in reproduced:
        failing = states.get(name) is State.FAILING or not right
        states[name] = State.FAILING if failing else State.TRAINED
    return states


def scrub_runs(home: Home, journal: Journal, snapshot: JournalSnapshot) -> int:
    """Delete the text of what was removed from the journal from the files of all runs.

    Return the number of files changed or deleted.

    Raises:
        HomeError: a file cannot be written; forgetting again resumes where it stopped.
    """
    present = {item.id: item for item in journal.differences.all()}
    turns = {turn.id: turn for turn in journal.turns.all()}
    changed = 0
    for item in snapshot.differences:
        if item.id not in present:
            changed += erase_from_runs(home, [item])
    gone = [turn for turn in snapshot.turns if turn.id not in turns]
    if gone:
        said = {text for turn in gone for text in (turn.asked, turn.replied)}
        said -= {text for turn in turns.values() for text in (turn.asked, turn.replied)}
        said -= {
            text
            for item in present.values()
            for text in (item.asked, item.replied, item.contrast.sounds)
        }
        changed += erase_talk_from_runs(
            home, (text for text in said if len(text) >= MIN_SCRUBBED_CHARACTERS)
        )
    return changed
