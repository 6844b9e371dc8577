"""Forget a mark or restore the journal, with a signal at each of many steps; print the outcomes.

python -m tests.tui.terminal.signalled_steps FOLDER VERB MOST

A step is a call from Discern's own code, except in a generator expression: Python ignores errors in
one that is being closed. Each run is a forked process with its own home; what the commands import is
imported once, before.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from memory.files.atomic_write import sweep, unfinished
from memory.files.sqlite_file import alone
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.upkeep.backup import asides, backup
from memory.upkeep.health import check
from tests.faults.programs.workers import say
from tests.support.processes import ROOT
from tests.support.values import make_difference, make_turn
from tui.cli.main import run
from tui.terminal.signals import raise_on_signals

IMPORTED = ("agent.chat.marking.forget", "agent.forget.residual_copies", "tui.cli.memory.group")
OURS = tuple(f"{ROOT / name}/" for name in ("agent", "memory", "tui"))


def furnish(home: Home, copy: Path) -> str:
    """Store two marks and a copy of the first; return the id of the second."""
    with Journal(home.prepare().journal) as journal:
        for word in ("kept", "gone"):
            turn = make_turn()
            item = replace(make_difference(f"What is {word}?"), turn=turn.id)
            journal.turns.add(replace(turn, asked=item.asked))
            journal.differences.add(item)
            if word == "kept":
                backup(journal, copy)
    return item.id


def interrupted(home: Home, words: list[str], at: int, number: int) -> tuple[int, int]:
    """Run a command with a signal at step `at` (0: none); return exit code and number of steps."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.environ["DISCERN_HOME"] = str(home.data)
        steps = 0

        def count(frame: FrameType, event: str, _argument: object) -> None:
            nonlocal steps
            code = frame.f_code
            ours = code.co_filename.startswith(OURS) and code.co_name != "<genexpr>"
            if ours and event in ("call", "c_call"):
                steps += 1
                if steps == at:
                    os.kill(os.getpid(), number)

        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise_on_signals()
        ended = 99
        sys.setprofile(count)
        try:
            ended = run(words)
        except SystemExit as error:
            ended = int(error.code or 0)
        finally:
            sys.setprofile(None)
            os.write(writing, str(steps).encode())
            os._exit(ended)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as counted:
        return os.waitstatus_to_exitcode(status), int(counted.read())


def outcome(home: Home) -> str:
    """Require that the journal is whole and unused; return its state."""
    with alone(home.journal):
        pass
    with Journal(home.journal) as journal:
        found = [item for item in check(home, journal) if item.level != "note"]
        assert not found, found
        asked = [item.asked for item in journal.differences.all()]
        assert [turn.asked for turn in journal.turns.all()] == asked
    sweep(home.data)  # as the next writer does
    assert not unfinished(home.data)
    if asked == ["What is kept?"]:
        return "after"
    assert asked == ["What is kept?", "What is gone?"], asked
    assert not asides(home.journal)
    return "before"


def steps(folder: Path, verb: str, most: int) -> Counter[str]:
    """Interrupt `most` runs; return how many ended in which state."""
    found: Counter[str] = Counter()
    for name in IMPORTED:
        importlib.import_module(name)
    copy = folder / "copy.sqlite"
    identity = furnish(Home.at(folder / "first"), copy)
    words = ["memory", *(("forget", identity) if verb == "forget" else ("restore", str(copy)))]
    total = 0
    for place in range(most + 1):
        home = Home.at(folder / str(place))
        shutil.copytree(folder / "first", home.data)
        number = (signal.SIGTERM, signal.SIGHUP)[place % 2]
        at = total * (2 * place - 1) // (2 * most) if place else 0
        code, counted = interrupted(home, [*words, "--yes"], at, number)
        if not at:
            assert code == 0, code
            assert outcome(home) == "after"
            total = counted
            continue
        state = outcome(home)
        assert code == 128 + number, (at, code)
        found[state] += 1
        with suppress(FileNotFoundError):
            shutil.rmtree(home.data)
    return found


if __name__ == "__main__":
    say(**steps(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
