"""Forget a marked difference everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.chat.checkpoints import erase_thread
from agent.forget.residual_copies import sweep
from agent.forget.scrub_run_files import erase_from_runs
from memory.difference import Difference
from memory.files.disk_reserve import with_reserve
from memory.settings.paths import Home

if TYPE_CHECKING:
    from memory.memory import Memory


def forget(home: Home, memory: Memory, prefix: str) -> Difference:
    """Forget a difference everywhere: journal, index, checkpoints, the files of trainings.

    Raises:
        UnknownIdError: no difference has an id that starts with `prefix`, or several have.
        HomeError: a file cannot be written; call it again to continue.
    """
    difference = memory.journal.differences.get(prefix)
    others = [
        item
        for item in memory.journal.differences.on_turns([difference.turn])
        if item != difference
    ]
    if not others:  # otherwise their turn stays
        # First, because only the difference tells which thread this is.
        erase_thread(home.checkpoints, difference.thread)
    erase_from_runs(home, memory.history(difference.id))
    sweep(home, memory.journal)
    return with_reserve(home.journal, lambda: memory.forget(difference.id))
