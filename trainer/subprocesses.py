"""Child processes with low priority.

Training and probing run in child processes (`agent/child_process.py`), so that a crash ends a run but
never the chat, and with low priority, so that the chat stays responsive.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from agent.child_process import die_with_parent

NICE = 10
"""Niceness of a child: while a chat is busy, it gets about a tenth of a processor."""


def lower_priority() -> None:
    """Lower the priority of this process, to DISCERN_NICE if that is set.

    A grandchild keeps the priority of its parent. When memory runs out, the kernel ends this process
    first.
    """
    with contextlib.suppress(OSError, ValueError):
        os.nice(max(0, int(os.environ.get("DISCERN_NICE", NICE)) - os.nice(0)))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def asked_by() -> int:
    """Return the id of the process that started this one as a child; 0 if none did."""
    parent = os.environ.get("DISCERN_PARENT", "")
    return int(parent) if parent == str(os.getppid()) else 0


if __name__ == "__main__":
    # python -m trainer.subprocesses COMMAND: run a shell command that dies with its parent.
    die_with_parent()
    os.execvp("/bin/sh", ["sh", "-c", sys.argv[1]])
