"""Text of the entries in a training's log."""

from __future__ import annotations

from collections.abc import Callable

from memory.i18n.interface_language import decimal, render, tr, trn
from trainer.events import BatchHalved, Estimated, Judged, Reported, Step, StepsPlanned, Trained
from tui.terminal.sanitize import one_line
from tui.training.progress import PHASES
from tui.training.remaining_time import estimate_text
from tui.training.state import FirstRight, LogEntry, LogItem, StageStarted

REASONS = {
    "learnt": "all lessons are learned",
    "steps": "the step limit was reached",
    "time": "the time limit was reached",
    "stopped": "it was stopped",
}
"""Reasons for which the training of a trial ended."""
VERDICTS = {
    "published": "published",
    "rejected": "rejected",
    "practised": "practised",
    "failed": "failed",
}
"""Outcomes of a run."""

NameOf = Callable[[str, str], str]
"""(difference, kind of lesson) → the question to show."""


def entry_text(entry: LogEntry, name_of: NameOf) -> str:
    """Return a log entry as one line of text that is safe to print."""
    return one_line(_said(entry.item, name_of))


def _said(item: LogItem, name_of: NameOf) -> str:
    match item:
        case StageStarted():
            return _stage(item)
        case FirstRight():
            asked = name_of(item.difference, item.kind)
            return tr("correct for the first time: {asked}", asked=asked)
        case Estimated():
            return estimate_text(item)
        case StepsPlanned():
            return tr(
                "training for at most {steps} steps, {threads}, {precision}",
                steps=item.steps,
                threads=trn("{n} thread", "{n} threads", item.threads),
                precision=item.precision,
            )
        case BatchHalved():
            return tr("out of memory: using smaller batches")
        case Step():
            return tr(
                "step {step} of {steps}: loss {loss}, learnt {learnt}",
                step=item.step,
                steps=item.steps,
                loss=decimal(f"{item.loss:.2f}"),
                learnt=f"{item.learnt:.0%}",
            )
        case Trained():
            return tr(
                "training ended at step {step}: {reason}; learnt {learnt}",
                step=item.steps,
                reason=tr(REASONS.get(item.reason, item.reason)),
                learnt=f"{item.learnt:.0%}",
            )
        case Judged(passed=True):
            return tr("✓ passed: {sentence}", sentence=render(item.sentence))
        case Judged():
            return tr("✗ not passed: {sentence}", sentence=render(item.sentence))
        case Reported():
            verdict = tr(VERDICTS.get(item.verdict, item.verdict))
            return f"{verdict}: {render(item.sentence)}"


def _stage(item: StageStarted) -> str:
    if item.stage == "compose" and item.total:
        return trn(
            "composing lessons from {n} difference",
            "composing lessons from {n} differences",
            item.total,
        )
    if item.stage == "load":
        rate = decimal(f"{item.rate:g}")
        return tr(
            "attempt {number}, learning rate {rate}: loading weights",
            number=item.attempt,
            rate=rate,
        )
    label = tr(PHASES.get(item.stage, item.stage))
    return f"{label} ({decimal(f'{item.total:,}')})" if item.total else label
