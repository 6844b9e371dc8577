"""Rename a thread, or delete it with all its text.

Two files know a thread by its name: the journal, which is the source of truth, and the checkpoints.
Renaming and deleting write the checkpoints first and the journal last. If the process is killed in
between, the thread still has its old name and all its turns, and its next message makes a new
checkpoint; doing it again completes it.

Another process may have the thread open. A turn knows its thread, so the reply that is being written
there is added to the renamed thread, and the next message follows it (`OpenThread.sync`); what that run
put back into the checkpoints is removed when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.chat.checkpoints import erase_thread
from agent.forget.residual_copies import files_since, sweep
from agent.forget.scrub_run_files import erase_talk_from_runs, unfinished
from memory.errors import HomeError
from memory.files.disk_reserve import is_full, with_reserve
from memory.journal.journal import Journal
from memory.memory import Memory
from memory.settings.paths import Home


@dataclass(frozen=True, slots=True)
class Deleted:
    """A deleted thread: how many turns it had, and how many marks stay.

    Also which files (exports, backups) may still hold its text, and whether a training is running.
    """

    thread: str
    turns: int
    marks: int
    files: tuple[Path, ...]
    training: bool = False


def rename(home: Home, journal: Journal, old: str, new: str) -> str:
    """Rename the thread `old`; return the new name as it is stored.

    Raises:
        UnknownIdError: there is no thread `old`.
        ThreadError: `new` is not a valid name, or is taken.
        HomeError: a file cannot be written.
    """
    name = journal.threads.free_name(old, new)
    if name != old:
        erase_thread(home.checkpoints, old)
        journal.threads.rename(old, name)
    return name


def delete(home: Home, memory: Memory, thread: str) -> Deleted:
    """Delete a thread with all its text; the marks made there stay in memory.

    Raises:
        UnknownIdError: no thread has that name.
        HomeError: a file cannot be written; call it again to continue.
    """
    journal = memory.journal
    turns = journal.turns.in_thread(journal.threads.require(thread))
    marks = journal.differences.on_turns([turn.id for turn in turns])
    erase_thread(home.checkpoints, thread)
    # Before the journal, which alone knows what text to look for.
    erase_talk_from_runs(home, journal.threads.texts_only_in(thread))
    sweep(home, journal)
    try:
        journal.threads.delete(thread)
    except HomeError as error:
        if not is_full(error):
            raise
        with_reserve(home.journal, lambda: journal.threads.delete_gradually(thread))
        journal.threads.delete(thread)
    memory.refresh()
    files = files_since(home, journal, turns[0].at)
    return Deleted(thread, len(turns), len(marks), files, bool(unfinished(home)))
