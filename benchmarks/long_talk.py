"""Measure a long conversation: the time of a turn and the size of the files, up to 2,000 turns.

    python -m benchmarks.long_talk [--turns 2000] [--window 20] [--model FILE] [--beside]

Every turn is really generated, by default by the starter with short replies. `own` is the time of a
turn outside the model: reading the thread, recall, journal, checkpoint. Once the context is full, only
the journal should grow, by the text of the turns. With `--beside`, two threads written into the
journal, one of 50 and one of `--turns` turns, are continued alternately: on a machine with other load,
their ratio is more reliable than times that are minutes apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

COUNTS = (20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Numbers of turns after which a row is measured."""


def opened(folder: Path, model: str, thread: str) -> Any:
    """Open a chat in a new home."""
    from agent.chat.chat import Chat
    from agent.models.served_model import STARTER
    from memory.settings.paths import Home
    from memory.settings.settings import read_settings

    home = Home.at(folder).prepare()
    settings = read_settings(
        home,
        {
            "model": {"path": model or str(STARTER), "context": 512},
            "sampling": {"max_tokens": 8, "temperature": 0.0},
            "memory": {"dense": False},
        },
    )
    return Chat.open(home, settings, thread=thread)


def question(number: int) -> str:
    """Return the question of a turn."""
    return f"{number}: what would you say to somebody who asks that?"


def asked(chat: Any, text: str) -> tuple[float, Any]:
    """Ask; return the seconds it took and the `Finished` event."""
    from agent.chat.graph import Finished

    began = time.perf_counter()
    done = next(event for event in list(chat.say(text)) if isinstance(event, Finished))
    return time.perf_counter() - began, done


def beside(folder: Path, turns: int, window: int, model: str) -> None:
    """Continue a thread of 50 turns and one of `turns` alternately, and print the ratios."""
    from memory.difference import Turn, new_id, now

    lengths = {"short": 50, "long": turns}
    with opened(folder, model, "short") as chat:
        for thread, length in lengths.items():
            with chat.journal.transaction():
                for number in range(length):
                    said = ("I would say that it depends on who asks.", "m")
                    chat.journal.turns.add(Turn(new_id(), thread, now(), question(number), *said))
        took: dict[str, list[tuple[float, float]]] = {thread: [] for thread in lengths}
        for number in range(window + 2):
            for thread in lengths:
                chat.thread.switch(thread)
                whole, done = asked(chat, question(lengths[thread] + number))
                if number >= 2:  # warm
                    took[thread].append((whole, whole - done.seconds))
        for place, name in enumerate(("whole", "own")):
            short, long = (1000 * median(row[place] for row in took[it]) for it in lengths)
            print(f"{name}: {short:.2f} ms after 50 turns, {long:.2f} ms after {turns:,}: "
                  f"x{long / short:.2f}")  # fmt: skip


def measure(folder: Path, turns: int, window: int, model: str) -> list[dict[str, Any]]:
    """Run `turns` turns in one thread; return a row for each point in COUNTS that was reached."""
    measured_at = {count for count in COUNTS if count <= turns} | {turns}
    rows: list[dict[str, Any]] = []
    took: list[tuple[float, float, float]] = []
    with opened(folder, model, "long") as chat:
        home = chat.home
        for number in range(1, turns + 1):
            whole, done = asked(chat, question(number))
            took.append((whole, whole - done.seconds, done.first_token))
            if number in measured_at:
                last = took[-window:]
                rows.append(
                    {
                        "turns": number,
                        "whole_ms": round(1000 * median(row[0] for row in last), 2),
                        "own_ms": round(1000 * median(row[1] for row in last), 2),
                        "first_token_ms": round(1000 * median(row[2] for row in last), 2),
                        "in_context": done.context_used,
                        "left_out": done.dropped,
                        "checkpoints_kb": size(home.checkpoints) // 1024,
                        "journal_kb": size(home.journal) // 1024,
                    }
                )
                print(json.dumps(rows[-1]), file=sys.stderr)
    return rows


def size(path: Path) -> int:
    """Return the bytes of an SQLite file and its write-ahead log."""
    both = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in both if file.exists())


def main() -> None:
    """Print a Markdown table, and the ratio of its last row to the first one with a full context."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--window", type=int, default=20)
    parser.add_argument("--model", default="")
    parser.add_argument("--beside", action="store_true")
    given = parser.parse_args()
    if given.beside:
        with tempfile.TemporaryDirectory() as folder:
            beside(Path(folder), given.turns, given.window, given.model)
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), given.turns, given.window, given.model)
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---:|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(f"{value:,}" for value in row.values()) + " |")
    full = next((row for row in rows if row["left_out"] > 2 * given.window), rows[-1])
    for name in ("whole_ms", "own_ms", "first_token_ms"):
        print(f"{name}: x{rows[-1][name] / full[name]:.2f} of that after {full['turns']} turns")


if __name__ == "__main__":
    main()
