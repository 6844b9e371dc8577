"""Ask the base ahead what the next night would ask it, in a child process while a chat is idle.

The child has its own engine on the CPU with one thread, and runs only when nothing else wants the
processor. It may be killed at any moment: answers are saved as they come, and the next child continues.
It reads its request as one line of JSON, and ends when its parent dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from agent.child_process import die_with_parent, environment
from memory.errors import DiscernError
from memory.files.bounded_read import parse_object
from memory.settings.paths import Home
from memory.settings.settings import Settings
from trainer.night.request import RunRequest
from trainer.subprocesses import lower_priority

if TYPE_CHECKING:
    from agent.llama.gguf.llama_file import ModelInfo

NICE = 19
_SPARE = 768 << 20
"""Bytes of memory that must stay free beside a second engine."""


def fits(request: RunRequest, info: ModelInfo) -> bool:
    """Whether the memory holds a second engine; false also where the chat's model is on a GPU.

    There a night asks the base in a moment, and a CPU would take hours for what it asks.
    """
    from agent.llama.gguf.header import read_header
    from agent.llama.gguf.llama_file import on_card
    from agent.llama.gguf.model_shape import read_shape
    from agent.models.models import free_memory

    if on_card(info, request.settings.model.gpu_layers):
        return False
    path = request.model_path
    cache = read_shape(read_header(path), path).cache_bytes(info.context)
    return free_memory() > path.stat().st_size + cache + _SPARE


class Preparation:
    """A child that asks ahead."""

    def __init__(self, request: RunRequest) -> None:
        """Start it."""
        home = request.home
        work = {
            "home": [str(path) for path in (home.config, home.data, home.state, home.cache)],
            "settings": request.settings.model_dump(mode="json"),
            "model": str(request.model_path),
        }
        self._child = subprocess.Popen(
            [sys.executable, "-m", "trainer.night.preparation"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C reaches the parent only, which then ends the child
        )
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):  # it has ended already
            self._child.stdin.write(json.dumps(work) + "\n")
            self._child.stdin.close()

    @property
    def running(self) -> bool:
        """Whether it is still asking."""
        return self._child.poll() is None

    @property
    def succeeded(self) -> bool:
        """Whether it has asked everything."""
        return self._child.poll() == 0

    def end(self) -> None:
        """Kill it without waiting; what it had asked is kept."""
        self._child.kill()
        # Where much memory is freed, the kernel takes a while.
        threading.Thread(target=self._child.wait, name="discern-reap", daemon=True).start()


def stand_back() -> None:
    """Run only when no other process wants the processor, and end first when memory runs out.

    With DISCERN_NICE, only the priority is lowered, to that.
    """
    if "DISCERN_NICE" in os.environ:
        lower_priority()
        return
    with contextlib.suppress(OSError):
        os.nice(NICE - os.nice(0))
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")


def main() -> int:
    """Ask what the request on standard input would ask; the child's entry point."""
    from agent.llama.engine import Engine
    from memory.journal.journal import Journal
    from trainer import pipeline
    from trainer.adapters.adapter_staleness import entry_of
    from trainer.lessons.journal_snapshot import take_snapshot

    work = parse_object(sys.stdin.buffer.readline())
    home = Home(*(Path(path) for path in work["home"]))
    model = Path(work["model"])
    settings = Settings.model_validate(work["settings"])
    alone = settings.model.model_copy(update={"threads": 1, "gpu_layers": 0})
    with Journal(home.journal) as journal, Engine.open(model, alone) as engine:
        source = pipeline.Source(home, model, entry_of(model, home), take_snapshot(journal))
        pipeline.ask_ahead(engine, journal, source, settings)
    return 0


if __name__ == "__main__":
    die_with_parent()
    stand_back()
    try:
        sys.exit(main())
    except (DiscernError, ValueError):
        sys.exit(1)
