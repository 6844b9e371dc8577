"""The results of `benchmarks/learning.py`, on disk and as a table.

`results.jsonl` in a folder has one line per result, written at once, so an interrupted run loses only
the measurement in progress. The latest line of each kind counts. Lines for another base file or for
other marks are ignored, except those of a sweep, which only chooses a rate. The folder `missed` has
every wrong answer.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import Missed
from benchmarks.themes import DEV

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ROWS = ("base", "recall", "sft", "sft-best", "dpo", "dpo-best", "ours")
COLUMNS = (
    "efficacy", "rephrasings", "framed", "reworded", "near", "unrelated", "kl", "perplexity",
    "seconds", "cpu", "peak_mb",
)  # fmt: skip


def latest_results(
    folder: Path, kind: Sequence[str], counts: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    """Return the latest result of each kind in `folder` for which `counts` returns true.

    `kind` are the keys whose values distinguish the kinds.
    """
    path = folder / "results.jsonl"
    latest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        item = json.loads(line)
        if counts(item):
            latest[tuple(item.get(key) for key in kind)] = item
    return list(latest.values())


def add_result(
    folder: Path, item: Mapping[str, Any], name: str, missed: Sequence[DataclassInstance]
) -> None:
    """Add a result to those in `folder`, and write its wrong answers to `missed/name.jsonl`."""
    with (folder / "results.jsonl").open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({**item, "at": time.time()}, ensure_ascii=False) + "\n")
    text = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in missed)
    (folder / "missed").mkdir(exist_ok=True)
    (folder / "missed" / f"{name}.jsonl").write_text(text, "utf-8")


class Results:
    """The results in `folder` on the base file whose sha256 begins with `base`."""

    def __init__(self, folder: Path, base: str) -> None:
        words = (Path(__file__).parent / "starter_marks.toml").read_bytes()
        self.folder = folder
        self.source = {"base": base, "marks": hashlib.sha256(words).hexdigest()[:12]}

    def found(self) -> list[dict[str, Any]]:
        """Return the latest result of each kind on this base."""
        return latest_results(self.folder, ("row", "n", "seed", "config"), self._counts)

    def _counts(self, item: dict[str, Any]) -> bool:
        same = all(item.get(name) == value for name, value in self.source.items())
        return same or item["row"].endswith("-sweep")

    def has(self, row: str, n: int, seed: int, config: str | None = None) -> bool:
        """Return whether a row was measured already."""
        return any(
            (item["row"], item["n"], item["seed"], item.get("config")) == (row, n, seed, config)
            for item in self.found()
        )

    def keep(
        self, row: str, n: int, seed: int, values: dict[str, Any], missed: Sequence[Missed]
    ) -> None:
        """Write a measured row, and its wrong answers."""
        item = {"row": row, "n": n, "seed": seed, **self.source, **values}
        name = "-".join(
            str(part) for part in (row, n, seed, values.get("config", "")) if part != ""
        )
        add_result(self.folder, item, name, missed)
        shown = {name: values[name] for name in COLUMNS if name in values}
        print(f"{row} N={n} seed={seed} {values.get('config', '')} {shown}", file=sys.stderr)

    def table(self) -> str:
        """Return the medians over the seeds as a Markdown table, and the results of the sweep."""
        lines = [
            "| N | row | seeds | " + " | ".join(COLUMNS) + " |",
            "|---:|---|---:|" + "---:|" * len(COLUMNS),
        ]
        found = [item for item in self.found() if item["seed"] < DEV]
        for n in sorted({item["n"] for item in found}):
            for row in (*ROWS, "nights"):
                some = [item for item in found if (item["row"], item["n"]) == (row, n)]
                if some:
                    cells = " | ".join(_cell(some, column) for column in COLUMNS)
                    lines.append(f"| {n} | {row} | {len(some)} | {cells} |")
        for item in found:
            if item["row"] == "nights" and item["lost"]:
                lines.append(
                    f"\nnight of {item['n']} marks, seed {item['seed']}, lost: {item['lost']}"
                )
        swept = [item for item in self.found() if item["row"].endswith("-sweep")]
        for item in sorted(swept, key=lambda i: -(i["rephrasings"] + i["unrelated"])):
            lines.append(
                f"\nsweep {item['row'][:3]} {item['config']}: efficacy {item['efficacy']:.3f}, "
                f"rephrasings {item['rephrasings']:.3f}, unrelated {item['unrelated']:.3f}, "
                f"{item['seconds']:.0f} s"
            )
        return "\n".join(lines)


def _cell(some: Sequence[dict[str, Any]], column: str) -> str:
    values = [item[column] for item in some if column in item]
    if not values:
        return ""
    middle = statistics.median(values)
    digits = {"kl": 4, "seconds": 0, "cpu": 0, "peak_mb": 0}.get(column, 3)
    return f"{middle:,.{digits}f}"
