"""Child processes that let others go first.

Training and probing run in children (`agent/child_process.py`): a crash there costs a run, never
the chat.
They take the processor's time that nobody else wants.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from agent.child_process import die_with_parent as die_with_parent
from agent.child_process import environment as environment

NICE = 10
"""How far a child stands back: beside a busy chat it gets about a tenth of a processor."""


def let_others_first() -> None:
    """Lower our own priority, from within the child; DISCERN_NICE says how far instead.

    A grandchild stands as far back as its parent. Where memory runs out, we are what is given up.
    """
    with contextlib.suppress(OSError, ValueError):
        os.nice(max(0, int(os.environ.get("DISCERN_NICE", NICE)) - os.nice(0)))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def asked_by() -> int:
    """Return the process id of who started us as a child; 0 when nobody did."""
    parent = os.environ.get("DISCERN_PARENT", "")
    return int(parent) if parent == str(os.getppid()) else 0


if __name__ == "__main__":
    # python -m trainer.subprocesses COMMAND: a shell command that dies with us (it keeps the request).
    die_with_parent()
    os.execvp("/bin/sh", ["sh", "-c", sys.argv[1]])
