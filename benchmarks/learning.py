"""Measure learning: the same marks taught by TRL's trainers, by recall alone, and by our night.

    python -m benchmarks.learning                     every row, N = 10, 50, 200, seeds 0 1 2
    python -m benchmarks.learning --quick             N = 10, one seed
    python -m benchmarks.learning --rows ours --n 50 --seeds 100 --again
    python -m benchmarks.learning --table             only print the table of existing results

Rows: base; recall (that of the chat, on the base); sft and dpo (TRL with its defaults); sft-best and
dpo-best (the best of a sweep on one development seed at N = 50: among the settings with an efficacy of
0.9, the one with the highest rephrasings + unrelated; the sweep runs automatically first); ours (a
complete night with the gate); nights (five nights in a row on 10 to 50 marks).
TRL needs its own interpreter: `make .venv-bench`, or `--trl-python`.

Each result is written at once to `--out` (one line of JSON), so an interrupted run resumes where it
stopped; the folder `missed/` has every wrong answer. `--again` repeats measurements. The rows are made
in `benchmarks/contestants.py`, the columns are explained in `benchmarks/measuring.py`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agent.adapters import base_sha256
from agent.llama.engine import Engine
from agent.models.served_model import STARTER
from benchmarks import contestants
from benchmarks.contestants import Trained
from benchmarks.measuring import Base, base_answers, measure
from benchmarks.one_thread import one_thread
from benchmarks.recalling import no_recall, recall_block
from benchmarks.results import ROWS, Results
from benchmarks.starter_marks import Mark, asker, marks
from benchmarks.themes import DEV

ROOT = Path(__file__).resolve().parent.parent

GROWING = (10, 20, 30, 40, 50)
SWEEP_AT = (50, DEV)
GRIDS: dict[str, tuple[tuple[float, int], ...]] = {
    "sft": tuple((rate, epochs) for rate in (2e-4, 1e-3, 3e-3) for epochs in (3, 10, 40)),
    "dpo": (
        *((2e-4, epochs) for epochs in (3, 10, 20, 40)),
        *((1e-3, epochs) for epochs in (3, 6, 10)),
        (3e-3, 3),
    ),
}
LEARNT = 0.9
SWEPT: dict[str, Any] = {"gradient_checkpointing": False}
"""Settings of the sweep besides rate and epochs: no checkpointing, which is faster."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the requested rows that are missing, and print the table."""
    wanted = _arguments(arguments)
    wanted.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(wanted)
    if not wanted.table:
        bench.run()
    print(json.dumps(bench.results.found(), indent=1) if wanted.json else bench.results.table())
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--n", type=int, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--rows", nargs="+", choices=(*ROWS, "nights"), default=[*ROWS, "nights"])
    parser.add_argument("--out", type=Path, default=ROOT / ".work" / "learning")
    parser.add_argument("--trl-python", type=Path, default=ROOT / ".venv-bench" / "bin" / "python")
    parser.add_argument("--again", action="store_true", help="repeat measurements that exist")
    parser.add_argument("--quick", action="store_true", help="N = 10, seed 0")
    parser.add_argument("--table", action="store_true", help="only print the table")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args(arguments)
    wanted.n = wanted.n or ([10] if wanted.quick else [10, 50, 200])
    wanted.seeds = wanted.seeds or ([0] if wanted.quick else [0, 1, 2])
    if wanted.quick:
        wanted.rows = [row for row in wanted.rows if row != "nights"]
    return wanted


class Bench:
    """Makes the missing results."""

    def __init__(self, wanted: argparse.Namespace) -> None:
        self.wanted = wanted
        self.results = Results(wanted.out, base_sha256(STARTER, wanted.out)[:12])
        self._drawn: dict[int, list[Mark]] = {}

    def run(self) -> None:
        """Measure what is missing; the sweep first if a row needs it."""
        with Engine.open(STARTER, one_thread()) as engine:
            if {"sft-best", "dpo-best"} & set(self.wanted.rows):
                self._sweep(engine)
            for n in self.wanted.n:
                for seed in self.wanted.seeds:
                    todo = [
                        row
                        for row in self.wanted.rows
                        if row != "nights"
                        and (self.wanted.again or not self.results.has(row, n, seed))
                    ]
                    self._rows(engine, todo, n, seed)
            if "nights" in self.wanted.rows:
                for seed in self.wanted.seeds:
                    if self.wanted.again or not self.results.has("nights", GROWING[-1], seed):
                        self._nights(engine, seed)

    def _marks(self, engine: Engine, n: int, seed: int) -> list[Mark]:
        if len(self._drawn.get(seed, ())) < n:
            engine.set_adapter(None)
            self._drawn[seed] = marks(n, seed, asker(engine))
        return self._drawn[seed][:n]

    def _rows(self, engine: Engine, rows: Sequence[str], n: int, seed: int) -> None:
        if not rows:
            return
        chosen = self._marks(engine, n, seed)
        engine.set_adapter(None)
        base = base_answers(engine, chosen, seed >= DEV)
        for row in rows:
            folder = self.wanted.out / "runs" / f"{row}-{n}-{seed}"
            shutil.rmtree(folder, ignore_errors=True)
            if row == "recall":
                with recall_block(engine, folder / "home", chosen) as block:
                    began = time.perf_counter()
                    values, missed = measure(engine, chosen, base, block)
                self.results.keep(
                    row, n, seed, values | {"asking": time.perf_counter() - began}, missed
                )
                continue
            try:
                trained = self._train(row, chosen, seed, folder)
            except RuntimeError as error:  # the table has a gap
                print(f"{row} N={n} seed={seed}: {error}", file=sys.stderr)
                continue
            self._judge(engine, (row, n, seed), chosen, base, trained)

    def _train(self, row: str, chosen: Sequence[Mark], seed: int, folder: Path) -> Trained:
        if row == "base":
            return Trained(None)
        if row == "ours":
            return contestants.nights([len(chosen)], seed, folder)[0]
        method, _, best = row.partition("-")
        settings = self._best(method) if best else {}
        taught = [mark.difference for mark in chosen]
        where = contestants.Trl(self.wanted.trl_python)
        return contestants.trl(method, taught, settings, where, folder, seed)

    def _judge(
        self,
        engine: Engine,
        cell: tuple[str, int, int],
        chosen: Sequence[Mark],
        base: Base,
        trained: Trained,
        **more: Any,
    ) -> dict[str, Any]:
        engine.set_adapter(trained.adapter, trained.scale)
        values, missed = measure(engine, chosen, base, no_recall)
        engine.set_adapter(None)
        values |= {**trained.cost, "facts": trained.facts}
        self.results.keep(*cell, {**values, "scale": trained.scale, **more}, missed)
        return values

    def _sweep(self, engine: Engine) -> None:
        n, seed = SWEEP_AT
        chosen = self._marks(engine, n, seed)
        base = base_answers(engine, chosen, seed >= DEV)
        for method, settings in _configurations():
            config = _name(settings)
            if f"{method}-best" not in self.wanted.rows or self.results.has(
                f"{method}-sweep", n, seed, config
            ):
                continue
            folder = self.wanted.out / "runs" / f"{method}-{config}"
            taught = [mark.difference for mark in chosen]
            where = contestants.Trl(self.wanted.trl_python)
            trained = contestants.trl(method, taught, settings, where, folder, seed)
            cell = (f"{method}-sweep", n, seed)
            self._judge(engine, cell, chosen, base, trained, config=config)

    def _best(self, method: str) -> dict[str, Any]:
        """Return the best settings of `method` in the sweep.

        Training that learns nothing changes nothing, so only settings with an efficacy of LEARNT, or
        the highest one if none reaches it, are compared.
        """
        tried = {i["config"]: i for i in self.results.found() if i["row"] == f"{method}-sweep"}
        mine = {_name(settings): settings for m, settings in _configurations() if m == method}
        enough = min(LEARNT, max(tried[name]["efficacy"] for name in mine))
        able = [name for name in mine if tried[name]["efficacy"] >= enough]
        return mine[max(able, key=lambda i: tried[i]["rephrasings"] + tried[i]["unrelated"])]

    def _nights(self, engine: Engine, seed: int) -> None:
        """Run five nights on growing marks; `lost` are marks that the previous night had learned."""
        folder = self.wanted.out / "runs" / f"nights-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        every = self._marks(engine, GROWING[-1], seed)
        base = base_answers(engine, every, seed >= DEV)
        held: set[str] = set()
        for n, trained in zip(GROWING, contestants.nights(GROWING, seed, folder), strict=True):
            engine.set_adapter(trained.adapter, trained.scale)
            values, missed = measure(engine, every[:n], base)
            engine.set_adapter(None)
            wrong = {one.asked for one in missed if one.what == "efficacy"}
            now = {mark.difference.asked for mark in every[:n]} - wrong
            lost = sorted(held - now)
            held = now
            values |= {**trained.cost, "lost": lost, "facts": trained.facts}
            self.results.keep("nights", n, seed, values, missed)


def _configurations() -> Iterator[tuple[str, dict[str, Any]]]:
    for method, grid in GRIDS.items():
        for rate, epochs in grid:
            yield method, {"learning_rate": rate, "num_train_epochs": epochs, **SWEPT}


def _name(settings: dict[str, Any]) -> str:
    return f"{settings['learning_rate']:g}x{settings['num_train_epochs']}"


if __name__ == "__main__":
    sys.exit(main())
