"""What serves beside its parts: base, recall, adapter alone, and both together as the chat has it.

    python -m benchmarks.served                              N = 1, 3, 8, 10, 50; marks of one evening
    python -m benchmarks.served --n 10 --seeds 102 --apart   each mark in a thread of its own

One training at the first learning rate on the starter, with the shipped settings and one thread. The
rows are the gate's: shares of the lessons that get the expected reply (asked in a new thread, in the
thread of the mark as it stands, after other marked questions) and of their held-out rephrasings. Beside
them what the gate found: look-alikes and unrelated answers unchanged, answers in a lesson's words,
replies without an end, and processor seconds of the training.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.llama.engine import Engine
from agent.models.serving import STARTER
from benchmarks.contestants import one_thread, quiet_settings
from benchmarks.marks import Mark, asker, marks
from memory.difference import Message, Turn
from memory.journal.journal import Journal
from memory.settings.settings import Home

if TYPE_CHECKING:
    from trainer.evaluate.lesson_answers import LessonAnswers
    from trainer.evaluate.verdict import Verdict
    from trainer.report.report import Beside

COUNTS = (1, 3, 8, 10, 50)
EVENING = "evening"


def write_evening(home: Home, chosen: Sequence[Mark], *, apart: bool) -> None:
    """Put the marks into the journal, each with its turn: in one thread, or each in its own."""
    before: tuple[Message, ...] = ()
    with Journal(home.prepare().journal) as journal:
        for mark in chosen:
            item = mark.difference
            if not apart:
                item = replace(item, thread=EVENING, before=before)
            journal.turns.add(
                Turn(item.turn, item.thread, item.at, item.asked, item.replied, item.model)
            )
            journal.differences.add(item)
            said = Message("user", item.asked), Message("assistant", item.replied)
            before = (*before, *said)


def evaluate(count: int, seed: int, *, apart: bool) -> tuple[Verdict, tuple[Beside, ...], float]:
    """Teach `count` marks; return the verdict at full strength, the other rows, processor seconds."""
    from agent.chat.recall_context import Recaller
    from trainer import loop
    from trainer.evaluate.baselines import measure_baselines
    from trainer.evaluate.gate import Evaluation, measure
    from trainer.evaluate.served_config import ServedRecall

    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISCERN_HOME"] = folder
        home = Home.locate().prepare()
        settings = quiet_settings(home)
        with Engine.open(STARTER, one_thread()) as engine:
            chosen = marks(count, seed, asker(engine))
        write_evening(home, chosen, apart=apart)
        lessons = loop.compose(home, settings, STARTER)
        used = _children()
        events: list[dict[str, Any]] = []
        candidate = loop.train(lessons, settings, Path(folder) / "job", on_event=events.append)
        seconds = _children() - used
        made = lessons.curriculum
        with Engine.open(STARTER, one_thread()) as engine, Journal(home.journal) as journal:
            recall = ServedRecall(
                Recaller.from_journal(journal, settings.recall, engine),
                settings,
                lessons.differences,
                made.superseded,
            )
            baselines = measure_baselines(engine, made.lessons, recall, None)
            evaluation = Evaluation(engine, made, settings.gate, recall)
            verdict = measure(candidate.gguf, 1.0, evaluation)
            engine.set_adapter(None)
    return verdict, baselines.rows, seconds


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    """Print a row for each count and seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--apart", action="store_true", help="each mark in a thread of its own")
    wanted = parser.parse_args()
    os.environ["DISCERN_NICE"] = "0"
    columns = "base", "recall", "alone", "served", "near", "unrelated", "kl", "spread", "endless"
    print("| N | seed | " + " | ".join(columns) + " | held | passed | cpu |")
    print("|" + "---:|" * (len(columns) + 5))
    for count in wanted.n:
        for seed in wanted.seeds:
            verdict, rows, seconds = evaluate(count, seed, apart=wanted.apart)
            found = {item.name: item.value for item in verdict.measures}
            by_name = {row.name: row for row in rows}
            pairs: list[Beside | LessonAnswers] = [
                by_name["base"],
                by_name["recall"],
                verdict.alone,
                verdict.spoken,
            ]
            cells = [f"{pair.lessons:.3f} / {pair.rephrasings:.3f}" for pair in pairs]
            cells += [f"{found[name]:.3f}" for name in ("near_misses", "anchors")]
            cells += [f"{found['kl']:.4f}", f"{found['spread']:g}", f"{found['endless']:g}"]
            cells += [str(len(verdict.holds)), "yes" if verdict.passed else "no", f"{seconds:.0f}"]
            print(f"| {count} | {seed} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
