"""Measure streaming a reply and opening a thread, compared with Textual's own Markdown widget.

    python -m benchmarks.streaming [--rounds 3] [--only list]

Each run is a separate process: the real chat on a pseudo-terminal of 80×24, with a script instead of
the model that emits words at a fixed rate. *ours* is the chat as it is; in *get_stream*, the reply is a
`Markdown` widget fed through `Markdown.get_stream`, word by word. Meanwhile, letters are typed into the
input. *× ideal*: seconds until everything is painted, relative to the seconds in which the words are
emitted. *input*: time from a key to its letter on the terminal, 95th percentile. *CPU*: processor
seconds of the chat. *Opening*: time from asking for a thread until all of it is painted; for
*Markdown*, each turn has a `Markdown` widget. Medians; contestants take turns.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import Any

from benchmarks.streaming_texts import LONG, TEXTS, chunks

LETTERS = "αβγδεζηθικλμνξοπρστυφχψω"
PATIENCE = 90.0
PAUSE = 0.15
"""Seconds between a letter that was painted and the next one."""
LONGEST = 10.0
"""Most seconds to wait for a letter; one that is not painted by then counts as this many."""


# --- the chat, in a child process ----------------------------------------------------------------


def child(contestant: str, what: str, rate: int, out: Path) -> None:
    """Run the chat with a script instead of the model, and write the measurements as JSON."""
    from benchmarks.streaming_chat import opening, streaming

    if what == "opening":
        opening(contestant, rate, out)
    else:
        streaming(contestant, TEXTS[what], rate, out)


# --- the user at the terminal --------------------------------------------------------------------


def measure_one(contestant: str, what: str, rate: int, home: Path) -> dict[str, Any]:
    """Run one chat, type into it, and return the measurements."""
    out = home / "measured.json"
    out.unlink(missing_ok=True)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = {**os.environ, "DISCERN_HOME": str(home), "TERM": "xterm-256color", "LANGUAGE": "en"}
    command = [sys.executable, "-m", "benchmarks.streaming", "--child", contestant, what]
    process = subprocess.Popen(
        [*command, str(rate), str(out)], stdin=slave, stdout=slave, stderr=slave, env=env,
        start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    try:
        terminal = Terminal(master)
        if what != "opening":
            terminal.until("◆ discern", out)
            os.write(master, b"go\r")
            terminal.until("started", out)
        latencies: list[float] = []
        while not out.exists() and time.monotonic() < terminal.began + PATIENCE:
            if what == "opening":
                terminal.read(0.1)
            else:
                latencies.append(terminal.types(LETTERS[len(latencies) % len(LETTERS)]))
                terminal.rest(PAUSE)
        found = {"seconds": float("inf"), "cpu": float("nan")}
        if out.exists():
            found = json.loads(out.read_text())
        return found | {"latencies": latencies}
    finally:
        process.kill()
        process.wait()
        os.close(master)


class Terminal:
    """The user's side of a pseudo-terminal."""

    def __init__(self, master: int) -> None:
        self._master = master
        self.began = time.monotonic()

    def read(self, seconds: float) -> bytes:
        """Return the next output, waiting at most `seconds`."""
        if not select.select([self._master], [], [], seconds)[0]:
            return b""
        return os.read(self._master, 1 << 16)

    def rest(self, seconds: float) -> None:
        """Discard output for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.read(left)

    def until(self, text: str, out: Path) -> None:
        """Wait for a text, or for the reply to have begun ("started")."""
        seen, mark = b"", out.with_suffix(".started")
        while text.encode() not in seen and not (text == "started" and mark.exists()):
            seen = seen[-200:] + self.read(0.05)
            if time.monotonic() > self.began + PATIENCE:
                raise SystemExit(f"the chat has not come to {text!r}; it wrote {seen!r}")

    def types(self, letter: str) -> float:
        """Type a letter and delete it; return the seconds until it was painted."""
        typed, sign = time.monotonic(), letter.encode()
        os.write(self._master, sign)
        seen = b""
        while sign not in seen and time.monotonic() < typed + LONGEST:
            seen = seen[-4:] + self.read(0.5)
        took = time.monotonic() - typed
        os.write(self._master, b"\x7f")
        return took


def measure(rounds: int, only: str | None) -> None:
    """Measure streaming and print the table."""
    taken: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
    kinds = [kind for kind in TEXTS if only in (None, kind)]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for kind in kinds:
                for rate in (100, 500):
                    for contestant in ("ours", "get_stream"):
                        home = Path(folder) / f"{number}-{kind}-{rate}-{contestant}"
                        home.mkdir()
                        (home / "config.toml").write_text(
                            "[memory]\ndense = false\n[night]\nenabled = false\n[ui]\nhints = false\n"
                        )
                        found = measure_one(contestant, kind, rate, home)
                        taken.setdefault((kind, rate, contestant), []).append(found)
                        print(json.dumps([kind, rate, contestant, found]), file=sys.stderr)
    print("\n| text | chunks/s | ideal s | view | s | × ideal | input p95 ms | CPU s |")
    print("|---|---:|---:|---|---:|---:|---:|---:|")
    for (kind, rate, contestant), runs in taken.items():
        ideal = len(chunks(TEXTS[kind])) / rate
        seconds = statistics.median(item["seconds"] for item in runs)
        cpu = statistics.median(item["cpu"] for item in runs)
        late = statistics.median(percentile(item["latencies"]) for item in runs)
        print(
            f"| {kind} | {rate} | {ideal:.1f} | {contestant} | {seconds:.1f} | {seconds / ideal:.2f} "
            f"| {1000 * late:.0f} | {cpu:.1f} |"
        )


def percentile(values: list[float]) -> float:
    """Return the 95th percentile."""
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))] if values else 0.0


def measure_opening(rounds: int) -> None:
    """Measure opening a thread and print the table."""
    taken: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for turns in (12, 5000):
            for contestant in ("ours", "Markdown"):
                with tempfile.TemporaryDirectory() as folder:
                    found = measure_one(contestant, "opening", turns, Path(folder))
                taken.setdefault((turns, contestant), []).append(found)
    print(f"| turns of {len(LONG) / 1000:.1f} kB | view | s | lowest | highest | CPU s |")
    print("|---:|---|---:|---:|---:|---:|")
    for (turns, contestant), runs in taken.items():
        seconds = [item["seconds"] for item in runs]
        cpu = statistics.median(item["cpu"] for item in runs)
        print(
            f"| {turns:,} | {contestant} | {statistics.median(seconds):.2f} | {min(seconds):.2f} "
            f"| {max(seconds):.2f} | {cpu:.2f} |"
        )


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=[*TEXTS, "opening"])
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        contestant, what, rate, out = options.child
        child(contestant, what, int(rate), Path(out))
        return
    if options.only in (None, "opening"):
        measure_opening(options.rounds)
    if options.only != "opening":
        measure(options.rounds, options.only)


if __name__ == "__main__":
    main()
