"""SIGKILL at any time: everything acknowledged is stored, and the file is intact."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from memory.difference import Difference
from memory.journal.journal import Journal
from memory.journal.migrations import MIGRATIONS, copies
from memory.journal.tables.exported_copies import sweep_home
from memory.settings.paths import Home
from memory.upkeep.health import check
from tests.faults.programs.journal_process import expected
from tests.memory.journal.old_journals import write_version_1
from tests.support.processes import ROOT

KILLS = 60


class Worker:
    """A `tests.faults.programs.journal_process`, or another of its kind; use it with `with`."""

    def __init__(self, home: Home, module: str = "journal_process") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"tests.faults.programs.{module}", str(home.data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self.hear() == {"ready": True}

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert "error" not in said, said["error"]
        return said

    def begin(self, **order: Any) -> int:
        """Fork a worker; return its process id."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.hear()["pid"])

    def rest(self) -> Iterator[dict[str, Any]]:
        """Return its output until it ends, its exit code last."""
        while "ended" not in (said := self.hear()):
            yield said
        yield said

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.process.communicate()


class Ledger:
    """What was acknowledged."""

    def __init__(self) -> None:
        self.marked: dict[str, int] = {}
        self.versions: dict[str, int] = {}
        self.removing: set[str] = set()
        self.removed: set[str] = set()

    def take(self, said: dict[str, Any]) -> None:
        if "marked" in said:
            self.marked[said["marked"]] = said["number"]
        elif "edited" in said:
            self.versions[said["edited"]] = said["version"]
        elif "removing" in said:
            self.removing.add(said["removing"])
        elif "removed" in said:
            self.removed.add(said["removed"])

    def compare(self, found: list[Difference]) -> None:
        held = {item.id: item for item in found}
        assert self.marked.keys() - held.keys() <= self.removing
        assert not self.removed & held.keys()
        for identity, version in self.versions.items():
            if identity in held:
                assert held[identity].version >= version
        for item in found:
            assert item.contrast.sounds == expected(int(item.asked[8:-1]))


def test_acknowledged_marks_survive_sixty_kills_at_random_times(home: Home) -> None:
    draw = random.Random(20261123)
    ledger = Ledger()
    cut_short = 0
    with Worker(home) as worker:
        for number in range(KILLS):
            pid = worker.begin(do="work", seed=number, first=number * 1000, most=1000)
            for _ in range(draw.randrange(12)):
                ledger.take(worker.hear())
            time.sleep(draw.random() * 0.02)
            os.kill(pid, signal.SIGKILL)
            *said, end = worker.rest()
            for item in said:
                ledger.take(item)
            cut_short += end["ended"] == -signal.SIGKILL
            with Journal(home.journal) as journal:
                assert journal.check() is None
                found = journal.differences.all()
                ledger.compare(found)
                # One mark may have been stored before the kill without being acknowledged.
                unsaid = {item.id for item in found} - ledger.marked.keys()
                assert len(unsaid) <= number + 1
        sweep_home(home)  # as the next start does
        with Journal(home.journal) as journal:
            assert check(home, journal) == ()
    assert cut_short == KILLS
    assert len(ledger.marked) > KILLS


def test_a_kill_during_a_migration_leaves_the_old_or_the_new_tables(
    home: Home, tmp_path: Path
) -> None:
    draw = random.Random(3)
    old = tmp_path / "old.sqlite"
    ids = write_version_1(old, 400)
    left: list[int] = []
    with Worker(home) as worker:
        seconds = 0.0
        for number in range(31):
            for path in home.data.glob("journal.sqlite*"):
                path.unlink()
            shutil.copy(old, home.journal)
            began = time.monotonic()
            pid = worker.begin(do="open")
            if number == 0:  # not killed, to measure how long it takes
                opened, _end = worker.rest()
                assert opened == {"opened": len(ids)}
                seconds = time.monotonic() - began
                continue
            time.sleep(draw.random() * seconds)
            with suppress(ProcessLookupError):  # it had already ended
                os.kill(pid, signal.SIGKILL)
            list(worker.rest())
            with closing(sqlite3.connect(home.journal)) as connection:
                left.append(int(connection.execute("pragma user_version").fetchone()[0]))
            for copy in copies(home.journal):
                with closing(sqlite3.connect(copy)) as connection:
                    count = connection.execute("select count(*) from differences").fetchone()[0]
                    assert count == len(ids)
            sweep_home(home)  # as the next start does
            with Journal(home.journal) as journal:
                assert [item.id for item in journal.differences.all()] == ids
                assert len(journal.stems.search(["land"], 1000)) == len(ids)
                assert check(home, journal) == ()
    assert set(left) <= {1, len(MIGRATIONS)}
    assert 1 in left


def test_two_processes_mark_while_a_third_reads(home: Home, tmp_path: Path) -> None:
    done = tmp_path / "done"
    with Journal(home.journal):
        pass
    with Worker(home) as one, Worker(home) as two, Worker(home) as reader:
        reader.begin(do="read", until=str(done))
        ledgers = (Ledger(), Ledger())

        def follow(worker: Worker, ledger: Ledger, first: int) -> None:
            worker.begin(do="work", seed=-1, first=first, most=60, removing=False)
            for said in worker.rest():
                ledger.take(said)

        threads = [
            threading.Thread(target=follow, args=(worker, ledger, first))
            for worker, ledger, first in zip((one, two), ledgers, (0, 1000), strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done.touch()
        seen, end = list(reader.rest())
    with Journal(home.journal) as journal:
        found = journal.differences.all()
        for ledger in ledgers:
            ledger.compare(found)
        assert len(found) == sum(len(ledger.marked) for ledger in ledgers) == 120
        assert check(home, journal) == ()
    assert end == {"ended": 0}
    assert seen["seen"] <= 120


def test_processes_that_create_the_journal_at_once_all_open_it(home: Home) -> None:
    with Worker(home) as one, Worker(home) as two, Worker(home) as three:
        for _ in range(8):
            for path in home.data.glob("journal.sqlite*"):
                path.unlink()
            for worker in (one, two, three):
                assert worker.process.stdin is not None
                worker.process.stdin.write('{"do": "open"}\n')
                worker.process.stdin.flush()
            for worker in (one, two, three):
                assert [next(iter(said)) for said in worker.rest()] == ["pid", "opened", "ended"]


@pytest.fixture(autouse=True)
def _only_where_processes_fork() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
