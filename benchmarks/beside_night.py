"""Measure the speed of replies in a chat while a night runs.

    python -m benchmarks.beside_night [--model GGUF] [--rounds 3] [--processors 2]

An engine answers the same questions repeatedly: alone, while a night learns from eight differences in
a low-priority child process (as chats and `discern night` run it), and while it does so in a thread of
the same process. Rounds alternate, so that other load on the machine affects all of them equally.
Prints a Markdown table: tokens per second and milliseconds to the first token (median and slowest
tenth of each), and the number of replies. Uses a temporary home.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from agent.llama.engine import Engine
from agent.llama.sampling_parameters import Sampling
from agent.models.served_model import STARTER
from agent.prompt.prompt import compose
from memory.difference import Contrast, Difference, Message, Moment, new_id, now
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from trainer.night.night import run_night
from trainer.night.night_process import run_in_child
from trainer.night.request import RunRequest

ASKED = ("Who are you?", "What is a lighthouse for?", "How does bread rise?", "Tell me a story.")
ALONE_SECONDS = 15.0
GREEDY = Sampling(max_tokens=64)


def home_with_marks(folder: Path, count: int = 8) -> Home:
    """Return a new home whose journal has `count` differences."""
    home = Home.at(folder).prepare()
    with Journal(home.journal) as journal:
        for number in range(count):
            journal.differences.add(
                Difference(
                    id=new_id(),
                    turn=new_id(),
                    thread="bench",
                    at=now(),
                    moment=Moment.ERROR,
                    asked=f"Who keeps the lighthouse number {number}?",
                    replied="I do not know.",
                    contrast=Contrast(sounds=f"Keeper {'ABCDEFGH'[number % 8]} keeps it."),
                )
            )
    return home


def replies(engine: Engine, until: Callable[[], bool]) -> list[tuple[float, float]]:
    """Answer `until` it returns true; return tokens per second and first-token ms of each reply."""
    found: list[tuple[float, float]] = []
    while not until():
        asked = ASKED[len(found) % len(ASKED)]
        prompt = compose(engine, [Message("user", asked)]).tokens
        began = time.perf_counter()
        times = [time.perf_counter() for _ in engine.generate(prompt, GREEDY)]
        speed = (len(times) - 1) / (times[-1] - times[0])
        found.append((speed, 1000 * (times[0] - began)))
        time.sleep(0.2)  # the time to read a reply
    return found


def beside(
    way: str, engine: Engine, settings: Settings, model: Path
) -> tuple[list[tuple[float, float]], float]:
    """Answer while a night runs in the given way; return the replies and the seconds of the night."""
    if way == "alone":
        ends = time.monotonic() + ALONE_SECONDS
        return replies(engine, lambda: time.monotonic() > ends), 0.0
    run = run_in_child if way == "apart" else run_night
    with tempfile.TemporaryDirectory() as folder:
        home = home_with_marks(Path(folder))
        request = RunRequest(home, settings, model, force=True)
        night = threading.Thread(target=lambda: run(request), daemon=True)
        began = time.monotonic()
        night.start()
        found = replies(engine, lambda: not night.is_alive())
        return found, time.monotonic() - began


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Replies beside a night.")
    parser.add_argument("--model", type=Path, default=STARTER)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processors", type=int, default=0, help="use only this many processors")
    asked = parser.parse_args()
    if asked.processors:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: asked.processors])
    with tempfile.TemporaryDirectory() as folder:
        training = {"learning_rates": [1e-3], "max_minutes": 0.25}
        settings = read_settings(Home.at(Path(folder)), {"training": training})
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    took: dict[str, list[float]] = defaultdict(list)
    with Engine.open(asked.model, settings.model) as engine:
        for _ in range(asked.rounds):
            for way in ("alone", "apart", "same process"):
                more, seconds = beside(way, engine, settings, asked.model)
                found[way] += more
                took[way].append(seconds)
    print(
        "| beside the chat | tok/s | slowest tenth | first token, ms | slowest | replies | night, s |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for way, rows in found.items():
        speeds, waits = sorted(row[0] for row in rows), sorted(row[1] for row in rows)
        tenth = len(rows) // 10
        print(
            f"| {way} | {statistics.median(speeds):.0f} | {speeds[tenth]:.0f} | "
            f"{statistics.median(waits):.0f} | {waits[-1 - tenth]:.0f} | {len(rows)} | "
            f"{statistics.mean(took[way]):.0f} |"
        )


if __name__ == "__main__":
    main()
