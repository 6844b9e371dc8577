"""SIGKILL while threads are renamed and deleted: each is either unchanged or done."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

import pytest

from agent.chat.checkpoints import checkpoints
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.upkeep.health import check
from tests.faults.journal.test_journal_kills import Worker
from tests.faults.programs.sessions_process import bare
from tests.faults.programs.sessions_words import TURNS, word
from tests.support.leftovers import bytes_of

KILLS = 24


@pytest.mark.slow
def test_a_thread_stays_consistent_when_a_rename_or_deletion_is_killed(home: Home) -> None:
    draw = random.Random(20261126)
    deleted: set[int] = set()
    renamed: set[int] = set()
    midway = 0
    with Worker(home, "sessions_process") as worker:
        for seed in range(KILLS):
            pid = worker.begin(seed=seed)
            heard = [worker.hear() for _ in range(2 + 3 * draw.randrange(3))]
            # Half of the kills within the current step, half some time after it.
            time.sleep(draw.random() * (0.003 if seed % 2 else 0.12))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            heard += worker.rest()
            assert heard.pop() == {"ended": -signal.SIGKILL}
            renamed |= {said["renamed"] for said in heard if "renamed" in said}
            deleted |= {said["deleted"] for said in heard if "deleted" in said}
            with Journal(home.journal) as journal:
                assert check(home, journal) == ()
                names = {item.name: item.turns for item in journal.threads.sessions()}
                for number in renamed:
                    assert names[f"renamed {word(number)}"] == TURNS
                    assert f"thread {word(number)}" not in names
                ((step, number),) = heard[-1].items()
                midway += step in ("renaming", "deleting")
                if step == "renaming":
                    held = [names.get(f"{how} {word(number)}") for how in ("thread", "renamed")]
                    assert held in ([TURNS, None], [None, TURNS])
                elif step == "deleting" and names.get(f"thread {word(number)}") != TURNS:
                    deleted.add(number)  # deleted before it was reported
                for number in deleted:
                    assert f"thread {word(number)}" not in names
                with checkpoints(home.checkpoints) as saver:  # nothing in it needs repair
                    graph = bare().compile(checkpointer=saver)
                    for name in names:
                        state = graph.get_state({"configurable": {"thread_id": name}})
                        told = {None, *(turn.id for turn in journal.branches.current(name))}
                        assert state.values.get("turn") in told
                    assert saver.notice is None
    left = bytes_of(home.data)
    for number in deleted:
        kept = number % 3 == 0  # one of its turns is marked, and keeps its own words
        assert (word(number).encode() in left) == kept
        assert f"thread {word(number)}".encode() not in left
    assert midway >= KILLS // 6
    assert deleted
    assert renamed


@pytest.fixture(autouse=True)
def _only_where_processes_fork() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
