"""What `benchmarks/learning.py` has measured so far, on disk and as a table.

`results.jsonl` in a folder: a line a result, the latest of a kind counts, those on another base file or
of other marks do not, a sweep's excepted, which only chooses a rate. `missed/` holds every answer that
was not as it should be. A line is written at once, so that a run that is cut off loses only what it
was doing.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measuring import Missed
from benchmarks.themes import DEV

ROWS = ("base", "recall", "sft", "sft-best", "dpo", "dpo-best", "ours")
COLUMNS = (
    "efficacy", "rephrasings", "framed", "reworded", "near", "unrelated", "kl", "perplexity",
    "seconds", "cpu", "peak_mb",
)  # fmt: skip


class Results:
    """The results in `folder` on the base file whose sha256 begins with `base`."""

    def __init__(self, folder: Path, base: str) -> None:
        words = (Path(__file__).parent / "marks.toml").read_bytes()
        self.folder = folder
        self.source = {"base": base, "marks": hashlib.sha256(words).hexdigest()[:12]}

    def found(self) -> list[dict[str, Any]]:
        """Return the results on the present base, of each kind the latest."""
        path = self.folder / "results.jsonl"
        latest: dict[tuple[Any, ...], dict[str, Any]] = {}
        for line in path.read_text("utf-8").splitlines() if path.exists() else []:
            row = json.loads(line)
            same = all(row.get(name) == value for name, value in self.source.items())
            if same or row["row"].endswith("-sweep"):
                latest[row["row"], row["n"], row["seed"], row.get("config")] = row
        return list(latest.values())

    def has(self, row: str, n: int, seed: int, config: str | None = None) -> bool:
        """Say whether a row was measured already."""
        return any(
            (item["row"], item["n"], item["seed"], item.get("config")) == (row, n, seed, config)
            for item in self.found()
        )

    def keep(
        self, row: str, n: int, seed: int, values: dict[str, Any], missed: Sequence[Missed]
    ) -> None:
        """Write a measured row, and beside it each lesson that was missed."""
        item = {"row": row, "n": n, "seed": seed, **self.source, "at": time.time(), **values}
        with (self.folder / "results.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(item) + "\n")
        folder = self.folder / "missed"
        folder.mkdir(exist_ok=True)
        name = "-".join(
            str(part) for part in (row, n, seed, values.get("config", "")) if part != ""
        )
        text = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in missed)
        (folder / f"{name}.jsonl").write_text(text, "utf-8")
        shown = {name: values[name] for name in COLUMNS if name in values}
        print(f"{row} N={n} seed={seed} {values.get('config', '')} {shown}", file=sys.stderr)

    def table(self) -> str:
        """Return medians over the seeds as Markdown, the sweep's choice below."""
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
