"""Child processes that cannot outlive their parent, and that let others go first.

Training and probing run in children: a crash there costs a run, never the chat. On Linux the kernel
kills the child when its parent is gone; elsewhere it ends at its next write to the closed pipe. A
child takes the processor's time that nobody else wants.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
NICE = 10
"""How far a child stands back: beside a busy chat it gets about a tenth of a processor."""


def die_with_parent() -> None:
    """Ask the kernel, from within the child, to be killed together with the parent."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    parent = os.environ.get("DISCERN_PARENT", "")
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (OSError, AttributeError):
        return
    if parent and parent != str(os.getppid()):
        os._exit(1)  # the parent died before the request was made


def let_others_first() -> None:
    """Lower our own priority, from within the child; DISCERN_NICE says how far instead.

    A grandchild stands as far back as its parent. Where memory runs out, we are what is given up."""
    with contextlib.suppress(OSError, ValueError):
        os.nice(max(0, int(os.environ.get("DISCERN_NICE", NICE)) - os.nice(0)))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def asked_by() -> int:
    """Return the process id of who started us as a child; 0 when nobody did."""
    parent = os.environ.get("DISCERN_PARENT", "")
    return int(parent) if parent == str(os.getppid()) else 0


def environment() -> dict[str, str]:
    """Return the environment for a child: ours importable, threads that sleep while they wait,
    and no wish to reach a network."""
    root = str(Path(__file__).parent.parent)
    path = os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        "PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root,
        "PYTHONUNBUFFERED": "1",
        "DISCERN_PARENT": str(os.getpid()),
        "OMP_WAIT_POLICY": "passive",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }


if __name__ == "__main__":
    # python -m trainer.children COMMAND: a shell command that dies with us (it keeps the request).
    die_with_parent()
    os.execvp("/bin/sh", ["sh", "-c", sys.argv[1]])
