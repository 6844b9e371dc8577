"""Measures a long talk: what a turn costs and what the files take, from its first turns to its 2,000th.

    python benchmarks/long_talk.py [--turns 2000] [--window 20] [--model FILE]

Every turn is really spoken, by default by the starter with short replies. `own` is what a turn takes
beside the model: reading the talk, recall, journal, checkpoint. The context is full after some turns;
from there on nothing should grow but the journal, by what is said.
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

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def spoken(folder: Path, turns: int, window: int, model: str) -> list[dict[str, Any]]:
    """Speak `turns` turns in one thread; return a row for each window that was looked at."""
    from agent.chat import STARTER, Chat
    from agent.graph import Finished
    from memory.home import Home, read_settings

    home = Home.at(folder).prepare()
    settings = read_settings(
        home,
        {
            "model": {"path": model or str(STARTER), "context": 512},
            "sampling": {"max_tokens": 8, "temperature": 0.0},
            "memory": {"dense": False},
        },
    )
    marks = {at for at in (20, 50, 100, 200, 500, 1000, 2000, 5000) if at <= turns} | {turns}
    rows: list[dict[str, Any]] = []
    took: list[tuple[float, float, float]] = []
    with Chat.open(home, settings, thread="long") as chat:
        for number in range(1, turns + 1):
            began = time.perf_counter()
            for event in chat.say(f"{number}: what would you say to somebody who asks that?"):
                if isinstance(event, Finished):
                    done = event
            whole = time.perf_counter() - began
            took.append((whole, whole - done.seconds, done.first_token))
            if number in marks:
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
    """Bytes of an SQLite file with its log."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


def main() -> None:
    """Print the table as Markdown, and the ratio of its last row to that of 20 turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--window", type=int, default=20)
    parser.add_argument("--model", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = spoken(Path(folder), given.turns, given.window, given.model)
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---:|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(f"{value:,}" for value in row.values()) + " |")
    full = next((row for row in rows if row["left_out"]), rows[0])
    for name in ("whole_ms", "own_ms", "first_token_ms"):
        print(f"{name}: x{rows[-1][name] / full[name]:.2f} of that after {full['turns']} turns")


if __name__ == "__main__":
    main()
