"""Many real processes at once: a chat with nights enabled, a training, and four terminals.

Everything they acknowledged is stored completely, and every process finds the same, even if commands,
the training and the chat are killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from memory.difference import Turn, now
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.upkeep.health import check
from tests.faults.programs.journal_process import expected
from tests.support.processes import ROOT
from tests.support.values import make_difference, write_quick_settings

SECONDS = float(os.environ.get("DISCERN_EVENING_SECONDS", "600"))


class Acknowledged:
    """Everything that the processes acknowledged."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.marks: dict[str, int] = {}
        self.versions: dict[str, int] = {}
        self.turns: set[str] = set()
        self.removing: set[str] = set()
        self.removed: set[str] = set()
        self.refused: list[str] = []
        self.nights: list[str] = []
        self.kills = 0

    def take(self, said: dict[str, Any]) -> None:
        with self._lock:
            match said:
                case {"marked": identity, "number": number}:
                    self.marks[identity] = number
                case {"edited": identity, "version": version}:
                    self.versions[identity] = version
                case {"turn": identity}:
                    self.turns.add(identity)
                case {"removing": identity}:
                    self.removing.add(identity)
                case {"removed": identity}:
                    self.removed.add(identity)
                case {"refused": words, "sentence": sentence}:
                    self.refused.append(f"{' '.join(words)}: {sentence}")
                case {"night": sentence}:
                    self.nights.append(sentence)

    def compare(self, held: set[str], before: set[str]) -> None:
        """Compare with `held`, what a process finds; `before` are the initial marks."""
        lost = self.marks.keys() - self.removing - held
        assert not lost, f"{len(lost)} of {len(self.marks)} acknowledged marks are lost"
        assert not self.removed & held
        # A killed command may have stored one mark without acknowledging it.
        assert len(held - self.marks.keys() - before) <= self.kills


class Actor:
    """One of the processes; use it with `with`."""

    def __init__(self, home: Home, role: str, seed: int, acknowledged: Acknowledged) -> None:
        self.role, self._acknowledged = role, acknowledged
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.faults.programs.evening_process",
                str(home.data),
                role,
                str(seed),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "DISCERN_NICE": "1"},
        )
        self.pid = 0

    def hear(self) -> Iterator[dict[str, Any]]:
        """Yield its output until it is done or has ended."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.startswith("{"):
                continue
            said = json.loads(line)
            if "done" in said or "ready" in said:
                return
            self._acknowledged.take(said)
            yield said

    def order(self, what: str) -> Iterator[dict[str, Any]]:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(f"{what}\n")
            self.process.stdin.flush()
        return self.hear()

    def held(self) -> set[str]:
        [found] = [said["held"] for said in self.order("held") if "held" in said]
        return set(found)

    def act(self, draw: random.Random, kills: float) -> None:
        """Let it do one thing; a command is killed with this probability."""
        for said in self.order("act"):
            if "pid" in said and draw.random() < kills:
                time.sleep(draw.random() * 0.5)
                with suppress(ProcessLookupError):
                    os.kill(said["pid"], signal.SIGKILL)
                    self._acknowledged.kills += 1

    def quit(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait() == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Actor:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def write_evening_settings(home: Home, model: Path) -> None:
    """Write the settings of the evening: short replies and trainings, and a night that is due."""
    write_quick_settings(
        home,
        model={"path": str(model)},
        sampling={"max_tokens": 6},
        night={"time": "00:00", "minimum": 1},
    )


def evening(home: Home, model: Path, more: Callable[[int], bool]) -> Acknowledged:
    """Run all processes; `more` tells whether a terminal that did so many things continues."""
    write_evening_settings(home, model)
    acknowledged = Acknowledged()
    with Journal(home.journal) as journal:
        for number in range(2):  # something for the night to learn
            earlier = now() - timedelta(days=2)
            item = replace(make_difference(f"What was {number}?"), at=earlier)
            journal.turns.add(Turn(item.turn, "main", earlier, item.asked, item.replied, "tiny@0"))
            journal.differences.add(item)
        before = {item.id for item in journal.differences.all()}
    over = threading.Event()

    def follow(actor: Actor, seed: int) -> None:
        draw, count = random.Random(seed), 0
        while more(count):
            actor.act(draw, kills=0.15)
            count += 1

    def accompany(actor: Actor, seed: int, kills: float) -> None:
        draw = random.Random(seed)
        while not over.is_set() and actor.process.poll() is None:
            actor.act(draw, kills)

    with ExitStack() as stack:
        actors = [
            stack.enter_context(Actor(home, role, seed, acknowledged))
            for seed, role in enumerate(("chat", "training", *["terminal"] * 4))
        ]
        for actor in actors:
            list(actor.hear())
        first, training, *terminals = actors
        work = [
            threading.Thread(target=follow, args=(actor, seed))
            for seed, actor in enumerate(terminals)
        ]
        beside = [
            threading.Thread(target=accompany, args=(first, 7, 0.0)),
            threading.Thread(target=accompany, args=(training, 8, 0.3)),
        ]
        for thread in (*work, *beside):
            thread.start()
        for thread in work:
            thread.join()
        over.set()
        beside[0].join()
        for actor in (first, *terminals):
            acknowledged.compare(actor.held(), before)
        first.quit()
        # A second chat, which is killed.
        second = stack.enter_context(Actor(home, "chat", 99, acknowledged))
        list(second.hear())
        draw = random.Random(99)
        for _ in range(4):
            second.act(draw, 0.0)
            terminals[0].act(draw, 0.0)
        for actor in (second, *terminals):
            acknowledged.compare(actor.held(), before)
        second.kill()
        for actor in terminals:
            acknowledged.compare(actor.held(), before)
        training.kill()
        beside[1].join()
    with Journal(home.journal) as journal:
        acknowledged.compare({item.id for item in journal.differences.all()}, before)
        for item in journal.differences.all():
            if item.id in acknowledged.marks:
                assert item.contrast.sounds == expected(acknowledged.marks[item.id])
                assert item.version >= acknowledged.versions.get(item.id, 1)
        kept = {turn.id for turn in journal.turns.all()}
        forgotten = acknowledged.removing
        assert len(acknowledged.turns - kept) <= len(forgotten)  # they are deleted with their marks
        assert [found for found in check(home, journal) if found.level != "note"] == []
    refused = [
        said for said in acknowledged.refused if not said.startswith(("train", "sessions rename"))
    ]
    assert refused == []
    # A night whose marks are removed meanwhile ends and says so.
    unlike = [said for said in acknowledged.nights if "forgotten during the training" not in said]
    assert unlike == []
    return acknowledged


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_everything_acknowledged_by_a_chat_a_training_and_four_terminals_is_stored(
    home: Home, tiny: Path
) -> None:
    acknowledged = evening(home, tiny, lambda count: count < 4)
    assert acknowledged.marks
    assert acknowledged.turns
    assert list(home.runs.iterdir())  # a night or a training ran meanwhile


@pytest.mark.slow
def test_everything_acknowledged_in_ten_minutes_is_stored(home: Home, tiny: Path) -> None:
    until = time.monotonic() + SECONDS
    acknowledged = evening(home, tiny, lambda _count: time.monotonic() < until)
    assert acknowledged.kills > 10
    assert len(acknowledged.marks) > 100
    ended = [json.loads(path.read_bytes()) for path in home.runs.glob("*/report.json")]
    assert any(report["verdict"] == "published" for report in ended)
    sys.stderr.write(
        f"{len(acknowledged.marks)} marks, {len(acknowledged.turns)} turns, "
        f"{acknowledged.kills} kills in {SECONDS:.0f} s\n"
    )
