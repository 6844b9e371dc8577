"""Time the start: `discern --help` and the first paint of the chat, compared with `import textual`.

    python -m benchmarks.start [--rounds 7]

Each run is a separate process; they are started in turn, so that other load on the machine affects all
of them; medians. On a real pseudo-terminal, the first paint is when the composer is shown and can be
typed into, and the chat is open when the welcome is painted and model and memory are loaded.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path

COMPOSER, WELCOME, QUESTIONS = b"for commands", "◆".encode(), b"step 1 of 3"
PATIENCE = 60.0


def run(*command: str) -> float:
    """Return the run time of a Python process, in seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def painted(mark: bytes, *, first: bool = False) -> float:
    """Return the seconds until the text `mark` is painted, on a terminal of 80×24 in a new home.

    `first` starts without a config.toml, so that the setup is shown before the chat.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        env = {**os.environ, "DISCERN_HOME": str(home), "TERM": "xterm-256color"}
        if not first:
            home.mkdir()
            (home / "config.toml").touch()
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "tui"], stdin=slave, stdout=slave, stderr=slave, env=env,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        try:
            out = b""
            while mark not in out:
                if time.perf_counter() - began > PATIENCE:
                    raise SystemExit(f"nothing was painted; the terminal got {out[-500:]!r}")
                out += os.read(master, 65536)
            return time.perf_counter() - began
        finally:
            process.kill()
            process.wait()
            os.close(master)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    measures: dict[str, Callable[[], float]] = {
        "import textual": lambda: run("-c", "import textual"),
        "discern --help": lambda: run("-m", "tui", "--help"),
        "first paint": lambda: painted(COMPOSER),
        "first paint of the first start": lambda: painted(QUESTIONS, first=True),
        "open chat": lambda: painted(WELCOME),
    }
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            taken[name].append(measure())
    base = statistics.median(taken["import textual"])
    print("| start | median s | lowest | highest | × import textual |\n|---|---:|---:|---:|---:|")
    for name, seconds in taken.items():
        middle = statistics.median(seconds)
        print(
            f"| {name} | {middle:.3f} | {min(seconds):.3f} | {max(seconds):.3f} "
            f"| {middle / base:.2f} |"
        )


if __name__ == "__main__":
    main()
