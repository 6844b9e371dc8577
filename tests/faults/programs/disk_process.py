"""Use a journal on a disk that is full or read-only; started by `test_journal_disk`.

It prints its results as lines of JSON. `full HOME FILE` fills the disk of HOME with FILE, which it then
deletes again; `erase HOME FILE` keeps it full and erases; `open HOME` opens it and marks once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.chat.checkpoints import checkpoints
from agent.forget.scrub_run_files import erase_talk_from_runs
from memory.errors import DiscernError
from memory.journal.journal import Journal
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from tests.faults.programs.sessions_process import bare
from tests.faults.programs.workers import say
from tests.support.values import make_turn


def fill(home: Home, ballast: Path) -> None:
    """Mark until the disk is full; then free space and continue."""
    kept: list[str] = []
    with Memory.open(home, read_settings(home), dense=False) as memory:
        kept.append(memory.mark(make_turn(), MarkRequest("error", sounds="The first.")).id)
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        try:
            while len(kept) < 1000:
                kept.append(memory.mark(make_turn(), MarkRequest("error", sounds="x" * 19_000)).id)
        except DiscernError as error:
            say(refused=str(error), kept=len(kept))
        assert [item.id for item in memory.journal.differences.all()] == kept
        try:
            with Journal(home.journal) as other:
                say(opened=[item.id for item in other.differences.all()] == kept)
        except DiscernError as error:
            say(opened=str(error))
        os.truncate(ballast, 0)
        kept.append(
            memory.mark(make_turn(), MarkRequest("error", sounds="There is room again.")).id
        )
        say(again=True)
    with Journal(home.journal) as journal:
        assert [item.id for item in journal.differences.all()] == kept
        say(whole=journal.check() is None)


SECRETS = ("plugharness", "zyzzyva")


def erase(home: Home, ballast: Path) -> None:
    """Write two long conversations, a mark and its report; fill the disk; forget and delete."""
    home.settings_file.parent.mkdir(parents=True, exist_ok=True)
    home.settings_file.write_text("[memory]\ndense = false\n", "utf-8")
    with Memory.open(home, read_settings(home), dense=False) as memory:
        turns = [
            replace(make_turn(f"{secret} {number}? " * times), thread=f"about {secret}")
            for secret, times in zip(SECRETS, (50, 1200), strict=True)
            for number in range(100)
        ]
        for turn in turns:
            memory.journal.turns.add(turn)
        kept = memory.mark(turns[0], MarkRequest("error", sounds="Lutz.")).id
        with checkpoints(home.checkpoints) as saver:
            graph = bare().compile(checkpointer=saver)
            for secret in SECRETS:
                config: Any = {"configurable": {"thread_id": f"about {secret}"}}
                told: Any = {"turn": "one"}  # the state without its messages
                graph.invoke(told, config, durability="exit")
    run = home.runs / "20261123T031500"
    run.mkdir(parents=True)
    words = {"difference": kept, "asked": turns[0].asked, "fate": "learnt"}
    (run / "report.json").write_text(json.dumps({"fates": [words]}, indent=1), "utf-8")
    (run / "training.log").write_text("begun\ntoo long: a brumptious word\n", "utf-8")
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    free = os.statvfs(home.data).f_bavail
    erase_talk_from_runs(home, ["a brumptious word"])
    os.environ["DISCERN_HOME"] = str(home.data)
    codes = [
        subprocess.run(
            [sys.executable, "-m", "tui", *verb, "--yes"], capture_output=True, text=True
        )
        for verb in (["memory", "forget", kept], ["sessions", "delete", "about zyzzyva"])
    ]
    held = {path: path.read_bytes() for path in home.data.rglob("*") if path.is_file()}
    with Journal(home.journal) as journal:
        say(
            free=free,
            log=(run / "training.log").read_text("utf-8"),
            codes=[done.returncode for done in codes],
            said=[done.stdout + done.stderr for done in codes],
            turns=len(journal.turns.all()),
            left=[str(path) for path, held in held.items() if b"zyzzyva" in held.lower()],
            first=[str(path) for path, held in held.items() if turns[0].asked.encode() in held],
            whole=journal.check() is None,
        )


def main() -> None:
    home = Home.at(Path(sys.argv[2]))
    try:
        if sys.argv[1] == "erase":
            erase(home, Path(sys.argv[3]))
        elif sys.argv[1] == "full":
            fill(home, Path(sys.argv[3]))
        else:
            with Memory.open(home, read_settings(home), dense=False) as memory:
                say(opened=len(memory.journal.differences.all()))
                say(marked=memory.mark(make_turn(), MarkRequest("error", sounds="Lutz.")).id)
    except DiscernError as error:
        say(refused=str(error))


if __name__ == "__main__":
    main()
