"""Compare what is served with its parts: base, recall, adapter alone, and both as in the chat.

    python -m benchmarks.served                              N = 1, 3, 8, 10, 50; marks of one evening
    python -m benchmarks.served --n 10 --seeds 102 --apart   each mark in its own thread

Trains the starter with the default settings and one thread, at one learning rate after the other until
the gate passes (a night chooses the next trial by the reason instead), and prints a row for each. The
shares are those of the gate: lessons that get the expected reply (asked in a new thread, in the current
thread of the mark, and after other marked questions) and their held-out rephrasings. The other columns
are the gate's too: look-alikes and unrelated answers unchanged, answers with a lesson's words, replies
that do not end; the last one is processor seconds. An adapter that only changes too much else has
more rows, until one passes: evaluated as one that answers only messages related to the marks, by the
floor of their scope.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.llama.engine import Engine
from agent.models.served_model import STARTER
from benchmarks.one_thread import one_thread, quiet_settings
from benchmarks.starter_marks import asker, marks
from memory.difference import Difference, Message, Turn
from memory.journal.journal import Journal
from memory.settings.paths import Home

if TYPE_CHECKING:
    from trainer.evaluate.lesson_answers import LessonAnswers
    from trainer.gate.publication_verdict import Verdict
    from trainer.report.report import Beside

COUNTS = (1, 3, 8, 10, 50)
EVENING = "evening"


def write_evening(home: Home, marked: Sequence[Difference], *, apart: bool) -> None:
    """Add the marks to the journal, each with its turn: in one thread, or `apart` in one each."""
    before: tuple[Message, ...] = ()
    with Journal(home.prepare().journal) as journal:
        for item in marked:
            if not apart:
                item = replace(item, thread=EVENING, before=before)
            journal.turns.add(
                Turn(item.turn, item.thread, item.at, item.asked, item.replied, item.model)
            )
            journal.differences.add(item)
            said = Message("user", item.asked), Message("assistant", item.replied)
            before = (*before, *said)


def evaluate(
    count: int, seed: int, *, apart: bool
) -> Iterator[tuple[float, Verdict, tuple[Beside, ...], float]]:
    """Teach `count` marks, at each learning rate until one passes.

    Yield the rate, the verdict at full strength, the rows to compare with, and the processor seconds.
    """
    from memory.recall.adapter_scope import FLOORS
    from trainer import loop
    from trainer.evaluate.baselines import measure_baselines
    from trainer.gate.evaluate_candidate import Evaluation, measure
    from trainer.lessons.anchors.base_answers import BaseAnswers
    from trainer.pipeline import scope_of, served_recall

    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISCERN_HOME"] = folder
        home = Home.locate().prepare()
        settings = quiet_settings(home)
        with Engine.open(STARTER, one_thread()) as engine:
            chosen = marks(count, seed, asker(engine))
        write_evening(home, [mark.difference for mark in chosen], apart=apart)
        lessons = loop.compose(home, settings, STARTER)
        for rate in settings.training.learning_rates:
            used = _child_seconds()
            candidate = loop.train(lessons, settings, Path(folder) / f"{rate}", rate=rate)
            seconds = _child_seconds() - used
            made = lessons.curriculum
            with (
                Engine.open(STARTER, one_thread()) as engine,
                Journal(home.journal) as journal,
                served_recall(engine, journal, lessons, settings) as recall,
            ):
                baselines = measure_baselines(engine, made.lessons, recall, None)
                answers = BaseAnswers(engine, lessons.base.sha256, home.cache)
                evaluation = Evaluation(engine, made, settings.gate, recall, answers)
                verdict = measure(candidate.gguf, 1.0, evaluation)
                yield rate, verdict, baselines.rows, seconds
                for floor in FLOORS if verdict.only_drifts else ():
                    if not verdict.passed:
                        evaluation = replace(evaluation, scope=scope_of(lessons, floor))
                        verdict = measure(candidate.gguf, 1.0, evaluation)
                        yield rate, verdict, baselines.rows, 0.0
            if verdict.passed:
                return


def _child_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    """Print a row for each count and seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--apart", action="store_true", help="each mark in its own thread")
    wanted = parser.parse_args()
    os.environ["DISCERN_NICE"] = "0"
    columns = "base", "recall", "alone", "served", "near", "unrelated", "kl", "spread", "endless"
    print("| N | seed | rate | answers | " + " | ".join(columns) + " | held | passed | cpu |")
    print("|" + "---:|" * (len(columns) + 7))
    for count in wanted.n:
        for seed in wanted.seeds:
            for rate, verdict, rows, seconds in evaluate(count, seed, apart=wanted.apart):
                cells = [
                    f"{count}",
                    f"{seed}",
                    f"{rate:g}",
                    f"from {verdict.floor:g}" if verdict.scoped else "all",
                    *_cells(verdict, rows),
                    f"{seconds:.0f}",
                ]
                print("| " + " | ".join(cells) + " |", flush=True)


def _cells(verdict: Verdict, rows: Sequence[Beside]) -> Iterator[str]:
    found = {item.name: item.value for item in verdict.measures}
    by_kind = {row.kind: row for row in rows}
    pairs: list[Beside | LessonAnswers] = [
        by_kind["base"],
        by_kind["recall"],
        verdict.alone,
        verdict.served,
    ]
    for pair in pairs:
        yield f"{pair.lessons:.3f} / {pair.rephrasings:.3f}"
    yield from (f"{found[name]:.3f}" for name in ("near_misses", "anchors"))
    yield from (f"{found['kl']:.4f}", f"{found['spread']:g}", f"{found['endless']:g}")
    yield from (str(len(verdict.holds)), "yes" if verdict.passed else "no")


if __name__ == "__main__":
    main()
