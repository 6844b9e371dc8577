"""The processes of `test_evening`: an open chat with nights enabled, and terminals that run commands.

    python -m tests.faults.programs.evening_process HOME chat SEED
    python -m tests.faults.programs.evening_process HOME terminal SEED
    python -m tests.faults.programs.evening_process HOME training SEED

For each line of its input, a process does one random thing. It prints what it is about to do and what
was acknowledged as lines of JSON, then `done`. A terminal imports once and runs every command in a
child process, whose id it prints first. Each process changes only its own marks.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agent.chat.chat import Chat
from agent.chat.graph import Finished
from memory.errors import DiscernError
from memory.mark_validation import MarkRequest
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from memory.text.stemming import stems
from tests.faults.programs.journal_process import expected
from tests.faults.programs.workers import say
from trainer.night import night_scheduler
from trainer.night.night_scheduler import NightListeners
from trainer.night.request import RunRequest
from tui.cli.main import run

TICK = 0.2


class Told:
    """An open chat with periodic checks for due nights."""

    def __init__(self, home: Home, draw: random.Random, name: str) -> None:
        settings = read_settings(home)
        night_scheduler.TICK_SECONDS = TICK
        self.chat = Chat.open(home, settings, thread=name)
        self._draw, self._name = draw, name
        self._turns: list[str] = []
        self._marks: list[str] = []
        self._count = 0
        self._nights = night_scheduler.background(
            RunRequest(home, settings), NightListeners(on_error=lambda error: say(night=str(error)))
        )

    def act(self) -> None:
        todo = self._draw.random()
        if not self._turns or todo < 0.4:
            self._count += 1
            for event in self.chat.say(f"What is {self._count} of {self._name}?"):
                if isinstance(event, Finished):
                    self._turns.append(event.turn.id)
                    say(turn=event.turn.id)
        elif todo < 0.8 or not self._marks:
            number = self._draw.randrange(10_000)
            turn = self._draw.choice(self._turns)
            kept = self.chat.marks.add(
                MarkRequest("error", sounds=expected(number)), turn=turn
            ).difference
            self._marks.append(kept.id)
            say(marked=kept.id, number=number)
        elif todo < 0.9:
            item = self.chat.memory.edit(self._draw.choice(self._marks), note=f"seen {todo}")
            say(edited=item.id, version=item.version)
        else:
            gone = self._marks.pop()
            say(removing=gone)
            self.chat.marks.undo(gone)
            say(removed=gone)

    def held(self) -> None:
        """Print what this process finds in the journal."""
        say(held=[item.id for item in self.chat.journal.differences.all()])

    def close(self) -> None:
        self._nights.shutdown(wait=False)
        self.chat.close()


class Terminal:
    """A terminal that runs one command after another."""

    def __init__(self, draw: random.Random, name: str) -> None:
        self._draw, self._name = draw, name
        self._turns: list[str] = []
        self._marks: list[str] = []
        self._count = 0
        self._folder = Path(tempfile.mkdtemp(prefix="evening-"))

    def act(self) -> None:
        todo = self._draw.random()
        if not self._turns or todo < 0.15:
            self._count += 1
            self.verb(
                "ask", f"What is {self._count}?", "--thread", self._name, "--json", then=self._asked
            )
        elif not self._marks or todo < 0.45:
            number = self._draw.randrange(10_000)
            words = ("--moment", "error", "--expected", expected(number), "--turn", self._turns[-1])

            def marked(said: Any) -> None:
                self._marks.append(said["id"])
                say(marked=said["id"], number=number)

            self.verb("mark", *words, "--json", then=marked)
        elif todo < 0.55:
            mark = self._draw.choice(self._marks)
            self.verb(
                "memory", "edit", mark, "--note", f"seen {todo}", "--json",
                then=lambda said: say(edited=mark, version=said["version"]),
            )  # fmt: skip
        elif todo < 0.65 and len(self._marks) > 1:
            gone = self._marks.pop()
            say(removing=gone)
            which = self._draw.choice((("undo", gone), ("forget", gone, "--yes")))
            self.verb("memory", *which, "--json", then=lambda _said: say(removed=gone))
            self._turns = self._turns[:1] if which[0] == "undo" else []  # forgotten with it
        else:
            self._count += 1
            copied = str(self._folder / f"{self._count}.copy")
            self.verb(*self._draw.choice((
                ("memory", "list", "--json"),
                ("memory", "show", self._draw.choice(self._marks), "--json"),
                ("memory", "pin", self._draw.choice(self._marks), "--json"),
                ("memory", "backup", copied, "--json"),
                ("memory", "export", copied),
                ("sessions", "list", "--json"),
                ("sessions", "show", self._name),
                ("sessions", "rename", self._name, self._renamed()),
                ("lessons",),
                ("doctor",),
                ("memory", "check", "--json"),
                ("memory", "batches", "--json"),
                ("adapters", "list"),
            )))  # fmt: skip

    def _renamed(self) -> str:
        return self._name  # its current name: refused or nothing to do, but both files are opened

    def _asked(self, said: Any) -> None:
        self._turns.append(said["turn"])
        say(turn=said["turn"])

    def held(self) -> None:
        self.verb(
            "memory", "list", "--json", then=lambda said: say(held=[one["id"] for one in said])
        )

    def verb(self, *words: str, then: Callable[[Any], None] | None = None) -> None:
        """Run a command in a child process; `then` gets the JSON that it printed."""
        code, out, err = _apart(words)
        if code == 0 and then is not None:
            then(json.loads(out))
        elif code > 0:
            say(refused=list(words), code=code, sentence=err)


class Training(Terminal):
    """A terminal that trains repeatedly."""

    def act(self) -> None:
        self.verb("train", "--force", "--json")


def _apart(words: tuple[str, ...]) -> tuple[int, str, str]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        worker = os.fork()
        if not worker:
            code = 3
            try:
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                sys.stdin = os.fdopen(0, closefd=False)  # ours has buffered input
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                code = run(words)
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)
        say(pid=worker)
        _, status = os.waitpid(worker, 0)
        out.seek(0)
        err.seek(0)
        return os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode()


def lines() -> Iterator[str]:
    for line in sys.stdin:
        yield line.strip()


def main() -> None:
    home, role, seed = Home.at(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
    os.environ["DISCERN_HOME"] = str(home.data)
    stems("Loads the stemmers before anything forks; и русский тоже.")
    draw, name = random.Random(f"{role} {seed}"), f"{role} {seed}"
    if role == "chat":
        told = Told(home, draw, name)
        actor: Told | Terminal = told
    else:
        actor = (Training if role == "training" else Terminal)(draw, name)
    say(ready=True)
    for order in lines():
        try:
            actor.held() if order == "held" else actor.act()
        except DiscernError as error:
            say(refused=[role], code=2, sentence=str(error))
        say(done=True)
    if role == "chat":
        told.close()


if __name__ == "__main__":
    main()
