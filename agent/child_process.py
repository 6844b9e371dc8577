"""Child processes that cannot outlive their parent.

Work that may crash, hang or exhaust memory runs in a child: trying a model file, rendering a chat
template, training. On Linux the kernel kills the child when its parent ends; elsewhere the child ends
at its next read from, or write to, the closed pipe.
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
from memory.sentence import Sentence, Stored, to_plain

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ChildResult:
    """What a child reported: the last value of each name, its exit status, its last line of errors.

    The exit status is None if it was killed for taking too long.
    """

    values: Mapping[str, Any]
    status: int | None
    last_error: str

    def sentence(self, name: str) -> Sentence | None:
        """Return the sentence that the child reported under a name; None if it reported none."""
        text = self.values.get(name)
        return Stored(self.values).sentence(text) if text else None


def ask_child(module: str, *arguments: str, seconds: float) -> ChildResult:
    """Run `python -m module arguments`, for `seconds` at most, and return what it reported.

    The child reports with `tell`.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**environment(), "GGML_NO_BACKTRACE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # Ctrl-C reaches this process only, which then ends the child
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
    values: dict[str, Any] = {}
    for line in out.splitlines():
        with suppress(ValueError):  # a line of a library, not one of `tell`
            values |= parse_object(line)
    return ChildResult(values, status, (err.strip().splitlines() or [""])[-1])


def tell(**values: Any) -> None:
    """Report values to the parent, from within the child; see `ChildResult.sentence`."""
    sys.stdout.write(json.dumps(to_plain(values)) + "\n")
    sys.stdout.flush()


def die_with_parent() -> None:
    """Have the kernel kill this child when its parent ends."""
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
    """Return a child's environment: Discern importable, idle threads asleep, the hub offline."""
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
    """Do `work` in a child of `ask_child`; return its exit status. Errors are reported as "refused"."""
    die_with_parent()
    try:
        work()
    except DiscernError as error:
        tell(refused=error.sentence)
        return 1
    return 0
