"""Measure learning on real weights: SmolLM2-135M-Instruct, compared with recall and TRL's SFT.

    make smollm2 .venv-bench
    python -m benchmarks.learning_real [--rows ROW ...] [--n 10] [--seeds 0 1 2] [--table]

Rows: base (asked again, which shows how often its own answers change); recall (that of the chat, on the
base); context (the right mark always above the question); sft-2e-4 and sft-1e-3 (TRL's SFT on question
and right reply, AdamW, 30 epochs, the same LoRA shape); ours (one night, measured as served, with
recall, and as the adapter alone); nights (five in a row in one home, on 2, 4, 6, 8 and 10 marks). If
the gate rejects a night, the adapter of its best trial is measured, and the verdict says so.

Each row is written at once to `--out` (one line of JSON) and is measured again only with `--again`, so
the table can be made in several runs; the folder `missed/` has every wrong answer. `--dev` uses the
development marks and prompts. `--set chat.scope=never --label unscoped` changes a setting of the nights
and adds a suffix to the names of the rows. A night has no cached base answers unless `--cache` names a
folder of them. The columns are explained in `benchmarks/real_measuring.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from agent.llama.engine import Engine
from benchmarks import contestants
from benchmarks.real_marks import RealMark, differences, model_path, real_marks, unrelated
from benchmarks.real_measuring import (
    Measuring,
    Said,
    Served,
    base_reply,
    everything,
    marked_reply,
)
from benchmarks.real_night import (
    Job,
    Night,
    context_block,
    nights,
    recall_block,
    texts_of,
)
from benchmarks.recalling import write_differences
from benchmarks.results import add_result, latest_results
from memory.recall.adapter_scope import Scope
from memory.settings.paths import Home
from memory.settings.settings import ModelSettings, Settings, read_settings

ROOT = Path(__file__).resolve().parent.parent
SFT = {"sft-2e-4": 2e-4, "sft-1e-3": 1e-3}
EPOCHS = 30
ROWS = ("base", "recall", "context", *SFT, "ours", "nights")
SHOWN = ("base", "recall", "context", *SFT, "ours served", "ours alone", "nights")
GROWING = (2, 4, 6, 8, 10)
COLUMNS = {
    "efficacy": 2, "efficacy said": 2, "rephrasings": 2, "rephrasings said": 2, "near": 2,
    "near strict": 2, "near carried": 0, "unrelated": 2, "unrelated strict": 2,
    "unrelated carried": 0, "kl": 4, "talk": 2, "talk said": 2, "cpu": 0, "seconds": 0,
    "estimated": 0, "mb": 0,
}  # fmt: skip
"""The columns of the table, each with its number of decimals."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the requested rows that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--n", type=int, nargs="+", default=[10])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=ROOT / ".work" / "learning-real")
    parser.add_argument("--trl-python", type=Path, default=ROOT / ".venv-bench" / "bin" / "python")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--label", default="", help="suffix for the row's name")
    parser.add_argument("--set", nargs="+", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument(
        "--cache", type=Path, help="folder where nights read and store base answers"
    )
    parser.add_argument("--again", action="store_true", help="repeat measurements that exist")
    parser.add_argument("--table", action="store_true", help="only print the table")
    wanted = parser.parse_args(arguments)
    wanted.out.mkdir(parents=True, exist_ok=True)
    results = Results(wanted.out)
    if not wanted.table:
        with Bench(wanted, results) as bench:
            bench.run()
    print(results.table())
    return 0


class Results:
    """The measured rows in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        words = (Path(__file__).parent / "real_marks.toml").read_bytes()
        self.marks = hashlib.sha256(words).hexdigest()[:12]

    def found(self) -> list[dict[str, Any]]:
        """Return the latest result of each row, number of marks, seed and set of prompts."""
        return latest_results(
            self.folder, ("row", "n", "seed", "dev"), lambda item: item["marks"] == self.marks
        )

    def has(self, row: str, n: int, seed: int, dev: bool) -> bool:
        """Return whether a row was measured already."""
        cell = (row, n, seed, dev)
        return any((i["row"], i["n"], i["seed"], i["dev"]) == cell for i in self.found())

    def keep(self, item: dict[str, Any], missed: Sequence[Any]) -> None:
        """Write a measured row, and its wrong answers."""
        kind = "-dev" if item["dev"] else ""
        name = f"{item['row']}-{item['n']}-{item['seed']}{kind}".replace(" ", "-")
        add_result(self.folder, {**item, "marks": self.marks}, name, missed)
        shown = {name: item[name] for name in COLUMNS if name in item}
        print(f"{item['row']} N={item['n']} seed={item['seed']} {shown}", file=sys.stderr)

    def table(self) -> str:
        """Return the medians over the seeds as a Markdown table, and what growing nights lost."""
        lines = [
            "| N | row | seeds | verdict | " + " | ".join(COLUMNS) + " |",
            "|---:|---|---:|---|" + "---:|" * len(COLUMNS),
        ]
        found = self.found()
        for dev in (False, True):
            for n in sorted({item["n"] for item in found}):
                here = [item for item in found if (item["n"], item["dev"]) == (n, dev)]
                named = {item["row"] for item in here}
                for row in sorted(named, key=lambda name: (_place(name), name)):
                    some = [item for item in here if item["row"] == row]
                    if some:
                        lines.append(_line(f"{n} dev" if dev else str(n), row, some))
        for item in found:
            if item.get("lost"):
                lines.append(f"\nnight on {item['n']} marks, seed {item['seed']}: {item['lost']}")
        return "\n".join(lines)


def _place(name: str) -> int:
    return next((at for at, row in enumerate(SHOWN) if name.startswith(row)), len(SHOWN))


def _line(n: str, row: str, some: Sequence[dict[str, Any]]) -> str:
    verdicts = [item["verdict"] for item in some if "verdict" in item]
    taken = f"{verdicts.count('published')}/{len(verdicts)}" if verdicts else ""
    cells = []
    for column, digits in COLUMNS.items():
        values = [item[column] for item in some if column in item]
        cells.append(f"{statistics.median(values):,.{digits}f}" if values else "")
    return f"| {n} | {row} | {len(some)} | {taken} | " + " | ".join(cells) + " |"


class Bench:
    """Makes the missing rows; a context manager that holds the engine."""

    def __init__(self, wanted: argparse.Namespace, results: Results) -> None:
        self.wanted, self.results = wanted, results
        self.overrides = overrides(wanted.set)
        model = ModelSettings(path="", context=2048, threads=wanted.threads, gpu_layers=0)
        self.engine = Engine.open(model_path(), model)
        self.replies = BaseReplies(self.engine, wanted.out / "base.json")

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.engine.close()

    def run(self) -> None:
        """Measure what is missing."""
        for n in self.wanted.n:
            for seed in self.wanted.seeds:
                for row in self.wanted.rows:
                    cell = self._label("ours alone" if row == "ours" else row)
                    count = GROWING[-1] if row == "nights" else n
                    if self.wanted.again or not self.results.has(
                        cell, count, seed, self.wanted.dev
                    ):
                        self._row(row, n, seed)

    def _label(self, row: str) -> str:
        return f"{row} {self.wanted.label}".strip()

    def _row(self, row: str, n: int, seed: int) -> None:
        marks = real_marks(n, dev=self.wanted.dev)
        name = f"{self._label(row)}-{n}-{seed}{'-dev' if self.wanted.dev else ''}"
        folder = self.wanted.out / "runs" / name.replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if row == "ours":
            self._ours(marks, seed, folder)
        elif row == "nights":
            self._nights(seed, folder)
        elif row in SFT:
            made = differences(marks, self.replies.marked)
            where = contestants.Trl(self.wanted.trl_python, model_path(), self.wanted.threads)
            recipe = {
                "learning_rate": SFT[row],
                "num_train_epochs": EPOCHS,
                "gradient_checkpointing": False,
            }
            trained = contestants.trl("sft", made, recipe, where, folder, seed)
            took = {"cpu": trained.cpu, "seconds": trained.seconds, "mb": trained.peak_mb}
            self._measure((row, n, seed), marks, Served(trained.adapter), took)
        else:
            served = Served()
            made = differences(marks, self.replies.marked)
            if row == "context":
                served = Served(block=context_block(self.engine, texts_of(marks, made)))
            home, settings = self._home(folder)
            if row == "recall":
                write_differences(home, made)
            recalled = recall_block(self.engine, home, settings) if row == "recall" else None
            with recalled or nullcontext(served.block) as block:
                self._measure((row, n, seed), marks, Served(block=block), {})

    def _home(self, folder: Path) -> tuple[Home, Settings]:
        home = Home.at(folder / "home").prepare()
        return home, read_settings(home, self.overrides)

    def _job(self, folder: Path, counts: Sequence[int], seed: int) -> Job:
        """Return the job of nights with the requested settings and the seed."""
        every = real_marks(max(counts), dev=self.wanted.dev)
        replies = {mark.asked: self.replies.marked(mark.asked) for mark in every}
        training = {"seed": seed + 1, **self.overrides.get("training", {})}
        return Job(
            str(folder), counts, replies, self.wanted.dev, {**self.overrides, "training": training}
        )

    def _nights_of(self, job: Job) -> list[Night]:
        """Run the nights of a job; with `--cache` they share their base answers."""
        kept, here = self.wanted.cache, Path(job.folder) / "home" / "cache" / "anchors"
        if kept and kept.is_dir():
            shutil.copytree(kept, here)
        try:
            return nights(job)
        finally:
            if kept and here.is_dir():
                shutil.copytree(here, kept, dirs_exist_ok=True)

    def _ours(self, marks: Sequence[RealMark], seed: int, folder: Path) -> None:
        n = len(marks)
        warm = bool(self.wanted.cache and self.wanted.cache.is_dir())
        [night] = self._nights_of(self._job(folder, [n], seed))
        took = asdict(night) | {"cold": not warm}
        del took["marks"]
        home, settings = self._home(folder)
        alone = self._alone(night)
        self._measure(("ours alone", n, seed), marks, alone, took)
        if night.floor:
            self._measure(
                ("ours unscoped", n, seed), marks, replace(alone, in_scope=everything), took
            )
        with recall_block(self.engine, home, settings, night.holds) as block:
            self._measure(("ours served", n, seed), marks, replace(alone, block=block), took)

    def _alone(self, night: Night) -> Served:
        adapter = Path(night.adapter) if night.adapter else None
        if not night.floor:
            return Served(adapter, night.scale, in_scope=everything)
        scope = Scope(night.in_scope, night.floor, night.as_asked)
        return Served(adapter, night.scale, in_scope=scope.includes)

    def _nights(self, seed: int, folder: Path) -> None:
        """Run five nights on growing marks; `lost` are marks that the previous night had learned.

        After a rejected night, the adapter of the night before is measured.
        """
        every = real_marks(GROWING[-1], dev=self.wanted.dev)
        serving, held = Served(), set[str]()
        for night in self._nights_of(self._job(folder, list(GROWING), seed)):
            serving = self._alone(night) if night.published else serving
            took = asdict(night)
            del took["marks"]
            measuring = self._measuring(every[: night.marks], serving)
            measuring.learnt()
            wrong = {one.asked for one in measuring.found.missed if one.what == "efficacy"}
            now = {mark.asked for mark in every[: night.marks]} - wrong
            lost = sorted(held - now)
            held = now
            measuring.stayed(unrelated(dev=self.wanted.dev))
            item = {
                "row": self._label("nights"),
                "n": night.marks,
                "seed": seed,
                "dev": self.wanted.dev,
            }
            columns = measuring.found.columns()
            self.results.keep({**item, **took, **columns, "lost": lost}, measuring.found.missed)

    def _measuring(self, marks: Sequence[RealMark], served: Served) -> Measuring:
        for text in (*(t for mark in marks for t in mark.near), *unrelated(dev=self.wanted.dev)):
            self.replies.base(text)  # while the engine has no adapter
        return Measuring(self.engine, marks, served, self.replies.base)

    def _measure(
        self,
        cell: tuple[str, int, int],
        marks: Sequence[RealMark],
        served: Served,
        took: dict[str, Any],
    ) -> None:
        row, n, seed = cell
        measuring = self._measuring(marks, served)
        began = time.perf_counter()
        measuring.learnt()
        measuring.stayed(unrelated(dev=self.wanted.dev))
        talk = measuring.talk() if not self.wanted.dev else []
        item = {
            **took, "row": self._label(row), "n": n, "seed": seed, "dev": self.wanted.dev,
            "set": self.wanted.set, "asking": round(time.perf_counter() - began, 1),
            **measuring.found.columns(), "spoken": talk,
        }  # fmt: skip
        self.results.keep(item, measuring.found.missed)


class BaseReplies:
    """The base's replies to questions, asked once and kept in the JSON file `path`."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.engine, self.path = engine, path
        self.known: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}

    def base(self, text: str) -> Said:
        """Return the base's reply, which must not change."""
        if (found := self.known.get(text)) is None:
            self._without_adapter()
            said = base_reply(self.engine, text)
            found = self.known[text] = [list(said.tokens), said.text]
            self._write()
        return Said(tuple(found[0]), found[1])

    def marked(self, text: str) -> str:
        """Return the reply to mark."""
        if (found := self.known.get(f"marked: {text}")) is None:
            self._without_adapter()
            found = self.known[f"marked: {text}"] = marked_reply(self.engine, text)
            self._write()
        return str(found)

    def _without_adapter(self) -> None:
        if self.engine.adapter is not None:
            raise RuntimeError("the base must be asked while no adapter is loaded")

    def _write(self) -> None:
        self.path.write_text(json.dumps(self.known, ensure_ascii=False), "utf-8")


def overrides(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the settings in "section.key=value" texts, in the form that `read_settings` takes."""
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, _, value = text.partition("=")
        section, _, key = name.partition(".")
        try:
            found.setdefault(section, {})[key] = json.loads(value)
        except ValueError:
            found.setdefault(section, {})[key] = value
    return found


if __name__ == "__main__":
    sys.exit(main())
