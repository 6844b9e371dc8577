"""Measure recall with many differences: opening, recalling, marking, rebuilding the index, disk use.

    python -m benchmarks.recall_scale [--count 100000] [--folder DIR]

The differences are synthetic: eight words each, six from the recall set and two invented. The index is
built from scratch and timed; then a new process opens it, recalls and marks, so that memory and opening
are those of a chat. With `--folder`, the journal and index are kept there and reused.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def texts(seed: int) -> Callable[[], str]:
    """Return a function that generates a question."""
    from benchmarks.recall_cases import known
    from memory.text.stemming import words

    draw = random.Random(seed)
    real = [word for item in known() for word in words(item["asked"])]
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    invent = random.Random(3)
    made = ["".join(invent.choices(syllables, k=invent.randint(2, 4))) for _ in range(40_000)]
    return lambda: " ".join([*draw.choices(real, k=6), *draw.choices(made, k=2)])


def difference() -> Any:
    """Return a difference to copy with other questions."""
    from memory.difference import Contrast, Difference, Moment, new_id, now

    return Difference(
        id=new_id(), turn=new_id(), thread="t", at=now(), moment=Moment.ERROR, asked="?",
        replied="Because.", contrast=Contrast(sounds="So."), model="m",
    )  # fmt: skip


def build(folder: Path, count: int) -> dict[str, float]:
    """Fill a journal with `count` differences and the recall set, and build its index."""
    from benchmarks.recall_cases import keep
    from memory.difference import new_id
    from memory.journal.journal import Journal
    from memory.memory import Memory
    from memory.settings.paths import Home
    from memory.settings.settings import read_settings

    home = Home.at(folder).prepare()
    plain, text = difference(), texts(5)
    with Journal(home.journal) as journal:
        with journal.transaction():
            for _ in range(count):
                journal.differences.add(replace(plain, id=new_id(), asked=text()))
        keep(journal)
    began, cpu = time.perf_counter(), time.process_time()

    def show(done: int, total: int) -> None:
        print(f"\rindexing {done:,}/{total:,}", end="", file=sys.stderr, flush=True)

    with Memory.open(home, read_settings(home), progress=show) as memory:
        assert memory.notice is None, memory.notice
    print(file=sys.stderr)
    return {
        "making the index s": time.perf_counter() - began,
        "making the index, processor s": time.process_time() - cpu,
    }


def measure(folder: Path) -> dict[str, float]:
    """Open the memory like a chat, recall, mark, and recall while the index is being updated."""
    from benchmarks.recall_cases import cases
    from memory.difference import Turn, new_id, now
    from memory.mark_validation import MarkRequest
    from memory.memory import Memory
    from memory.settings.paths import Home
    from memory.settings.settings import read_settings

    home, text = Home.at(folder), texts(int(time.time()))
    settings = read_settings(home)
    asks = [case.message for case in cases()] + [text() for _ in range(200)]

    def turn() -> Turn:
        return Turn(new_id(), "t", now(), text(), "Because.", "m")

    began = time.perf_counter()
    memory = Memory.open(home, settings)
    opened = time.perf_counter() - began
    with memory:
        first = _timed(lambda: memory.recall(asks[0], count=len))
        assert memory.settle(300)
        level = time.perf_counter() - began
        finds, cpu = [], []
        for ask in asks:
            began_cpu = time.process_time()
            finds.append(_timed(partial(memory.recall, ask, count=len)))
            cpu.append((time.process_time() - began_cpu) * 1000)
        marks, after = [], []
        for _ in range(50):
            marked = turn()
            marks.append(_timed(partial(memory.mark, marked, MarkRequest("error", sounds="So."))))
            after.append(_timed(partial(memory.recall, marked.asked, count=len)))
        assert memory.settle(60)
    return {
        "opening ms": opened * 1000,
        "first recall, by words, ms": first,
        "vectors ready s": level,
        "recall p50 ms": _quantile(finds, 0.5),
        "recall p95 ms": _quantile(finds, 0.95),
        "recall, of the processor, p50 ms": _quantile(cpu, 0.5),
        "recall, of the processor, p95 ms": _quantile(cpu, 0.95),
        "a mark p50 ms": _quantile(marks, 0.5),
        "a mark p95 ms": _quantile(marks, 0.95),
        "recall right after a mark p95 ms": _quantile(after, 0.95),
        "memory MB": _resident(),
    }


def _resident() -> float:
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def _size_mb(path: Path) -> float:
    files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
    return sum(item.stat().st_size for item in files) / 1e6


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _quantile(times: list[float], share: float) -> float:
    return sorted(times)[int(share * (len(times) - 1))]


def scale(count: int, folder: Path | None = None) -> dict[str, float]:
    """Return the results by name, which includes the unit."""
    with tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        result: dict[str, float] = {"differences": count}
        if not (place / "journal.sqlite").exists():
            result |= build(place, count)
        said = subprocess.run(
            [sys.executable, __file__, "--measure", str(place)],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        result |= json.loads(said)
        result["journal MB"] = _size_mb(place / "journal.sqlite")
        result["index MB"] = _size_mb(place / "cache" / "index")
        return result


def main() -> None:
    """Measure and print the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure)))
        return
    for name, value in scale(given.count, given.folder).items():
        print(f"{name}: {value:,.1f}")


if __name__ == "__main__":
    main()
