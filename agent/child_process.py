"""Child processes that cannot outlive their parent.

What may crash, hang or exhaust memory runs in a child: a model file that is tried, a chat template that
is rendered, a training. On Linux the kernel kills the child when its parent is gone; elsewhere it ends
at its next read of, or write to, the closed pipe.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory.errors import DiscernError
from memory.files.bounded_read import parse_object

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Told:
    """What a child said before it ended: its last word for each name, its exit status (None: it was
    killed for its time) and the last line of its errors."""

    words: Mapping[str, Any]
    status: int | None
    cause: str


def ask_child(module: str, *arguments: str, seconds: float) -> Told:
    """Run `python -m module arguments` to its end, or kill it after `seconds`, and return what it told.

    The child tells with `tell`.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**environment(), "GGML_NO_BACKTRACE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # Ctrl-C in the terminal is for us, who then end it
    )
    status: int | None
    with process:
        try:
            out, err = process.communicate(timeout=seconds)
            status = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            (out, err), status = process.communicate(), None
        except BaseException:
            process.kill()
            raise
    words: dict[str, Any] = {}
    for line in out.splitlines():
        with suppress(ValueError):  # another's line, not one of `tell`
            words |= parse_object(line)
    return Told(words, status, (err.strip().splitlines() or [""])[-1])


def tell(**words: Any) -> None:
    """Say something to the parent, from within the child."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


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


def environment() -> dict[str, str]:
    """Return the environment for a child: ours importable, threads that sleep while they wait,
    and no access to a network."""
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


def run_as_child(work: Callable[[], object]) -> int:
    """Do `work` as a child of `ask_child`; a refusal is told as "refused". Returns the exit status."""
    die_with_parent()
    try:
        work()
    except DiscernError as error:
        tell(refused=str(error))
        return 1
    return 0
