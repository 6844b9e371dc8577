"""Measure the included starter model in llama.cpp, with wordings and words that it was not trained on.

    python -m benchmarks.starter [--cases 300] [--json] [--model FILE] [--wrong]

Decoding is greedy, and an answer counts only if it is exactly right. `--wrong` prints the wrong ones.
Reads one GGUF, writes nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

GOALS = {
    "world": 0.97, "unknown": 0.95, "recall": 0.90, "recall new": 0.90, "override": 0.90,
    "ignore world": 0.95, "ignore unknown": 0.95,
}  # fmt: skip


def wilson(right: int, every: int) -> float:
    """Return half the width of the 95% interval of a share."""
    if not every:
        return 0.0
    share, z = right / every, 1.96
    spread = math.sqrt(share * (1 - share) / every + z * z / (4 * every * every))
    return z * spread / (1 + z * z / every)


def main() -> int:
    """Measure and print the results."""
    from trainer.starter.measure import COLUMNS, cases, outcomes, table

    shipped = Path(__file__).resolve().parent.parent / "agent" / "starter" / "starter.gguf"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=300, help="cases per column and language")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--model", type=Path, default=shipped)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--columns", nargs="*", default=list(COLUMNS), choices=COLUMNS)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--wrong", action="store_true", help="print every wrong answer")
    given = parser.parse_args()

    began = time.monotonic()
    found = outcomes(given.model, cases(given.cases, given.seed, given.columns), given.threads)
    counts = table(found)
    if given.wrong:
        for outcome in found:
            if not outcome.right:
                case = outcome.case
                print(f"--- {case.column} {case.language}, after {len(case.before)} turns")
                print(case.content)
                print(f"  right: {case.right}\n  said:  {outcome.answer}")
    if given.json:
        rows = {
            column: {
                language: {"right": right, "cases": every}
                for language, (right, every) in row.items()
            }
            for column, row in counts.items()
        }
        seconds = round(time.monotonic() - began, 1)
        print(
            json.dumps({"model": given.model.name, "seconds": seconds, "columns": rows}, indent=2)
        )
        return 0
    print(f"{'column':<16}{'English':>16}{'Russian':>16}{'goal':>8}   share right, ± 95% interval")
    for column, row in counts.items():
        cells = ""
        for language in ("en", "ru"):
            right, every = row.get(language, (0, 0))
            share = f"{right / every:.3f} ± {wilson(right, every):.3f}" if every else "-"
            cells += f"{share:>16}"
        goal = f"{GOALS[column]:.2f}" if column in GOALS else ""
        print(f"{column:<16}{cells}{goal:>8}")
    print(f"{len(found)} cases in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
