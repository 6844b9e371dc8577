"""Compute what a scope gate would give: messages unrelated to every lesson go to the base.

    python -m benchmarks.scope RESULTS [--floors 0.2 0.3 0.4 0.5]

RESULTS is the `--out` folder of `benchmarks/learning_real.py`. Nothing is asked again: a question
outside the scope of the marked ones (`memory/recall/adapter_scope.py`, `[chat] scope`) gets the base's
answer, any other the adapter's, and both are known. A floor of 0 means no gate.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.learning_real import Results
from benchmarks.real_marks import RealMark, real_marks, unrelated
from benchmarks.real_measuring import everything
from memory.recall.adapter_scope import Scope

Wrong = dict[tuple[str, str], bool]
"""(column, question) of a wrong answer → whether it counts."""


def wrong_of(path: Path) -> Wrong:
    """Return the wrong answers of a row, from its file in `missed`."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {(one["what"], one["asked"]): one["counts"] for one in lines}


def gated(
    marks: Sequence[RealMark], base: Wrong, ours: Wrong, serves: Callable[[str], bool], dev: bool
) -> dict[str, float]:
    """Return the share of good answers by column if the adapter answers only what `serves` accepts."""
    texts = {
        "efficacy": [mark.asked for mark in marks],
        "rephrasings": [text for mark in marks for text in mark.again],
        "near": [text for mark in marks for text in mark.near],
        "unrelated": list(unrelated(dev=dev)),
    }
    return {
        column: sum(
            not (ours if serves(text) else base).get((column, text), False) for text in some
        )
        / len(some)
        for column, some in texts.items()
    }


def main() -> None:
    """Print a line for each floor and measured night."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("results", type=Path)
    parser.add_argument("--floors", type=float, nargs="+", default=[0, 0.2, 0.3, 0.4, 0.5])
    wanted = parser.parse_args()
    missed = wanted.results / "missed"
    for item in Results(wanted.results).found():
        if item["row"] not in ("ours alone", "sft-2e-4", "sft-1e-3"):
            continue
        n, seed, dev = item["n"], item["seed"], item["dev"]
        kind = "-dev" if dev else ""
        base = missed / f"base-{n}-0{kind}.jsonl"
        ours = missed / f"{item['row']}-{n}-{seed}{kind}.jsonl".replace(" ", "-")
        if not (base.exists() and ours.exists()):
            continue
        marks = real_marks(n, dev=dev)
        for floor in wanted.floors:
            scope = Scope((mark.asked for mark in marks), floor)
            shares = gated(
                marks,
                wrong_of(base),
                wrong_of(ours),
                scope.includes if floor else everything,
                dev,
            )
            shown = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
            print(f"{item['row']} N={n} seed={seed} floor {floor}: {shown}")


if __name__ == "__main__":
    main()
