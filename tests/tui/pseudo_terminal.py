"""A program on a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress

from tests.support.processes import ROOT
from tests.tui.seat import PATIENCE

SETTINGS = """[memory]
dense = false
[night]
enabled = false
[sampling]
max_tokens = 20
"""


def _controls() -> None:
    """Make standard input the controlling terminal, so that closing it sends SIGHUP."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A program on a pseudo-terminal of 100×40; `out` is every byte it wrote."""

    def __init__(self, *command: str, **environment: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=slave, stdout=slave, stderr=slave, cwd=ROOT,
            start_new_session=True, preexec_fn=_controls,
            env={
                **os.environ,
                "TERM": "xterm-256color",
                "OMP_NUM_THREADS": "1",
                **environment,
            },
        )  # fmt: skip
        os.close(slave)
        self.out = b""

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; last: {self.out[-3000:]!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                self._read()

    def drain(self) -> None:
        """Read all pending output, so that it is not mistaken for the answer to the next input."""
        while select.select([self.master], [], [], 0.1)[0] and self._read():
            pass

    def _read(self) -> bool:
        """Read the pending output; return whether the program still has its terminal."""
        try:
            self.out += os.read(self.master, 65536)
        except OSError:
            return False
        return True

    def types(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self.master)
        self.master = -1

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_exc: object) -> None:  # fmt: skip
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.master >= 0:
            os.close(self.master)
