"""Threads as sessions that a person rules: another name, or gone with all their text.

Two files know a thread by its name: the journal, which is the truth, and the checkpoints. Both verbs
take it out of the checkpoints first and write the journal last. Killed between the two, a thread is as
it was: its old name, all its turns, and a checkpoint that its next message makes. Doing it again ends
it.

Another process may have the thread open. A turn knows its thread, so the reply that is being written
there goes where the one before it went, and the next message follows (`Chat.follow`); what its run put
back into the checkpoints is taken out when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.chat.checkpoints import erase_thread
from agent.forget.residual_copies import files_since, sweep
from agent.forget.scrubbing import erase_talk_from_runs, unfinished
from memory.errors import HomeError
from memory.files.disk_reserve import is_full, with_room
from memory.journal.journal import Journal
from memory.memory import Memory
from memory.settings.settings import Home


@dataclass(frozen=True, slots=True)
class Deleted:
    """A thread that is gone: how many turns went, how many marks stay, and which files (exports,
    backups) may still hold its words; whether a training runs now."""

    thread: str
    turns: int
    marks: int
    files: tuple[Path, ...]
    training: bool = False


def rename(home: Home, journal: Journal, old: str, new: str) -> str:
    """Give the thread `old` the name `new`; returns it as it is kept.

    Raises:
        UnknownIdError: no thread is called `old`.
        ThreadError: `new` cannot name a thread, or names one already.
        HomeError: a file cannot be written.
    """
    name = journal.free_name(old, new)
    if name != old:
        erase_thread(home.checkpoints, old)
        journal.rename_thread(old, name)
    return name


def delete(home: Home, memory: Memory, thread: str) -> Deleted:
    """Delete a thread with every byte of its text; the marks made there stay in memory.

    Raises:
        UnknownIdError: no thread has that name.
        HomeError: a file cannot be written; calling it again goes on where it stopped.
    """
    journal = memory.journal
    turns = journal.turns(journal.require_thread(thread))
    marks = journal.of_turns([turn.id for turn in turns])
    erase_thread(home.checkpoints, thread)
    # Before the journal: with the turns gone, nothing would remember which words to look for.
    erase_talk_from_runs(home, journal.said_only_in(thread))
    sweep(home, journal)
    try:
        journal.delete_thread(thread)
    except HomeError as error:
        if not is_full(error):
            raise
        with_room(home.journal, lambda: journal.thin_thread(thread))
        journal.delete_thread(thread)
    memory.refresh()
    files = files_since(home, journal, turns[0].at)
    return Deleted(thread, len(turns), len(marks), files, bool(unfinished(home)))
