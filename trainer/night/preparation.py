"""Ask the base in advance what the next night would ask, in a child process while a chat is idle.

The child has its own engine, on the CPU with one thread, and runs only when no other process needs the
CPU. It may be killed at any time: answers are saved as they come, and the next child continues. It
reads its request as one line of JSON, and ends when its parent dies.
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
from trainer.night.request import RunRequest
from trainer.subprocesses import lower_priority

if TYPE_CHECKING:
    from agent.llama.gguf.llama_file import ModelInfo

NICE = 19
_SPARE = 768 << 20
"""Bytes of memory that must stay free with a second engine."""


def fits(request: RunRequest, info: ModelInfo) -> bool:
    """Whether a second engine fits into memory; False also if the chat's model is on a GPU.

    A GPU answers the prompts of a night quickly, and a CPU would take hours for them.
    """
    from agent.llama.gguf.header import read_header
    from agent.llama.gguf.llama_file import on_card
    from agent.llama.gguf.shape_reader import read_shape
    from agent.models.models import free_memory

    if on_card(info, request.settings.model.gpu_layers):
        return False
    path = request.model_path
    cache = read_shape(read_header(path), path).cache_bytes(info.context)
    return free_memory() > path.stat().st_size + cache + _SPARE


class Preparation:
    """A child process that asks in advance."""

    def __init__(self, request: RunRequest) -> None:
        """Start the child."""
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
            self._child.stdin.write(json.dumps(request.to_json()) + "\n")
            self._child.stdin.close()

    @property
    def running(self) -> bool:
        """Whether the child is still asking."""
        return self._child.poll() is None

    @property
    def succeeded(self) -> bool:
        """Whether everything was asked."""
        return self._child.poll() == 0

    def end(self) -> None:
        """Kill the child without waiting; its answers so far are kept."""
        self._child.kill()
        # The kernel needs some time to free much memory.
        threading.Thread(target=self._child.wait, name="discern-reap", daemon=True).start()


def run_only_when_idle() -> None:
    """Run only when the CPU is idle, and end first when memory runs out.

    If DISCERN_NICE is set, only lower the priority, to that value.
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
    """Ask for the request on standard input; the child's entry point."""
    from agent.llama.engine import Engine
    from memory.journal.journal import Journal
    from trainer import pipeline
    from trainer.adapters.adapter_staleness import entry_of
    from trainer.lessons.journal_snapshot import take_snapshot

    request = RunRequest.from_json(parse_object(sys.stdin.buffer.readline()))
    home, settings, model = request.home, request.settings, request.model_path
    alone = settings.model.model_copy(update={"threads": 1, "gpu_layers": 0})
    with Journal(home.journal) as journal, Engine.open(model, alone) as engine:
        source = pipeline.Source(home, model, entry_of(model, home), take_snapshot(journal))
        pipeline.ask_ahead(engine, journal, source, settings)
    return 0


if __name__ == "__main__":
    die_with_parent()
    run_only_when_idle()
    try:
        sys.exit(main())
    except (DiscernError, ValueError):
        sys.exit(1)
