"""Keep a journal open and run everything that Discern does around one in the same process.

    python -m tests.faults.programs.opening_process HOME MODEL

It records every file that Python opens (with an audit hook) and, after each step, its descriptors of
the journal's files (/proc/self/fd). For each step it prints both, and whether another process still
sees the journal locked by this one.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from agent.chat.checkpoints import Checkpoints
from memory.difference import Turn, new_id, now
from memory.errors import HomeError
from memory.files.sqlite_file import identity
from memory.journal.journal import Journal
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings
from memory.transfer.import_export import export_file, read_batch
from memory.upkeep.backup import backup, restore
from memory.upkeep.health import check
from tests.support.values import quick_settings
from trainer.night.once_per_date import run_if_due
from trainer.night.request import RunRequest
from tui.cli import completion_queries
from tui.cli.main import run

# The bytes that each connection in WAL mode holds a shared lock on for as long as it is open (SQLite,
# os.h: SHARED_FIRST = PENDING_BYTE + 2, SHARED_SIZE).
FIRST, SIZE = 0x40000002, 510
PROBE = f"""
import fcntl, sys
for path in sys.stdin:
    with open(path.strip(), "r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, {SIZE}, {FIRST})
            print("free", flush=True)
        except OSError:
            print("locked", flush=True)
"""


def ours(home: Home) -> set[tuple[int, int]]:
    """The files that only SQLite may open, as they are now."""
    paths = [*home.data.glob("*.sqlite*"), *home.index.rglob("chroma.sqlite3*")]
    return {found for path in paths if (found := identity(path)) is not None}


def descriptors(files: set[tuple[int, int]]) -> list[int]:
    """This process's descriptors of these files."""
    numbers = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
    return sorted(number for number in numbers if _of(number) in files)


def _of(number: int) -> tuple[int, int] | None:
    return identity(Path(f"/proc/self/fd/{number}"))


class Openings:
    """What Python opened of our files since the last step."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._asking = False
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or self._asking or isinstance(arguments[0], int):
            return
        self._asking = True
        try:
            if identity(Path(os.fsdecode(arguments[0]))) in ours(self._home):
                where = "".join(traceback.format_stack(limit=4)[:-1])
                self.seen.append(f"{arguments[0]}\n{where}")
        finally:
            self._asking = False


def steps(
    home: Home, settings: Settings, model: Path, journal: Journal
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Return all operations that happen around an open journal, by name."""
    marked: list[str] = []

    def second() -> None:
        with Journal(home.journal) as other:
            other.facts.set("seen", "twice")

    def mark() -> None:
        with Memory.open(home, settings, dense=False) as memory:
            turn = Turn(new_id(), "main", now(), f"What is {len(marked)}?", "No idea.", "tiny@0")
            memory.journal.turns.add(turn)
            marked.append(memory.mark(turn, MarkRequest("error", sounds="One.")).id)

    def index() -> None:
        with Memory.open(home, settings, dense=True) as memory:
            memory.settle()

    def refused(work: Callable[[], object]) -> None:
        try:
            work()
        except HomeError:
            return
        raise AssertionError("it was not refused")

    def verb(*words: str, codes: tuple[int, ...] = (0,)) -> tuple[str, Callable[[], object]]:
        def do() -> None:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                code = run([word.format(*marked) for word in words])
            assert code in codes, (words, code, out.getvalue())

        return " ".join(words[:2]), do

    copied, out = home.data.with_name("copy.sqlite"), home.data.with_name("marks.jsonl")
    yield "a second journal", second
    for number in range(4):
        yield f"mark {number}", mark
    with Memory.open(home, settings, dense=False) as memory:
        yield "backup", lambda: backup(journal, copied)
        yield "export", lambda: export_file(memory, out)
        yield (
            "import of the journal itself",
            lambda: refused(lambda: read_batch(memory, home.journal)),
        )
        yield "check", lambda: check(home, journal)
    yield "the index", index
    yield "checkpoints", lambda: Checkpoints(home.checkpoints).close()
    yield (
        "a glance",
        lambda: (
            completion_queries.threads(home),
            completion_queries.differences(home),
            completion_queries.turns(home),
        ),
    )
    yield "restore", lambda: refused(lambda: restore(home, copied))
    yield verb("doctor", codes=(0, 1))
    yield verb("memory", "list")
    yield verb("memory", "check", codes=(0, 1))
    yield verb("memory", "search", "two")
    yield verb("memory", "show", "{0}")
    yield verb("memory", "edit", "{0}", "--note", "seen")
    yield verb("memory", "undo", "{0}")
    yield verb("memory", "forget", "{1}", "--yes")
    yield verb("memory", "rebuild")
    yield verb("memory", "backup", str(copied), "--force")
    yield verb("ask", "What is two?", "--model", str(model), "--thread", "second")
    yield verb("sessions", "list")
    yield verb("sessions", "export", "second", str(out.with_suffix(".md")))
    yield verb("sessions", "rename", "second", "other")
    yield verb("sessions", "delete", "other", "--yes")
    yield verb("lessons")
    yield verb("report", codes=(0, 1, 2))
    yield verb("adapters", "list")
    request, tomorrow = RunRequest(home, settings, model), now() + timedelta(days=1)

    def night() -> None:
        report = run_if_due(request, now=tomorrow)
        assert report is not None
        assert report.verdict == "published"

    def tick() -> None:
        assert run_if_due(request, now=tomorrow) is None

    yield "a night", night
    yield "the tick after it", tick


def main() -> None:
    home, model = Home.at(Path(sys.argv[1])).prepare(), Path(sys.argv[2])
    night = {"time": "00:00", "quiet": "", "on_battery": True}
    settings = quick_settings(home, night=night)
    openings = Openings(home)
    with (
        subprocess.Popen(
            [sys.executable, "-c", PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as probe,
        Journal(home.journal) as journal,
    ):
        assert probe.stdin is not None
        assert probe.stdout is not None
        mine = {found for path in home.data.glob("journal.sqlite*") if (found := identity(path))}
        held = descriptors(mine)
        for name, work in steps(home, settings, model, journal):
            work()
            probe.stdin.write(f"{home.journal}\n")
            probe.stdin.flush()
            locked = probe.stdout.readline().strip() == "locked"
            still = descriptors(mine)
            told = {
                "step": name,
                "locked": locked,
                "still": set(held) <= set(still),
                "opened": openings.seen,
                "more": len(still) - len(held),
            }
            os.write(1, (json.dumps(told) + "\n").encode())
            openings.seen = []
        probe.stdin.close()


if __name__ == "__main__":
    main()
