"""How long a training still takes, as well as it can be known: by its own pace, and by an earlier run.

What is counted (questions asked, steps) goes on at the pace it went so far; of what is still to come an
earlier run of the same model tells how long it took, in proportion to the differences. Where neither
knows, nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from memory.i18n.i18n import tr, trn
from trainer.report.report import folders, read_report
from tui.training.state import AGAIN, STAGES, TrainingState

LOOKED_AT = 6
"""Earlier runs that are looked at for one that was judged."""
COUNTED = ("anchors", "beside", "train", "gate")
"""Stages that take longer the more there is to learn."""


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier run: the seconds of each stage (of one try), and how many differences it had."""

    seconds: Mapping[str, float]
    differences: int


@dataclass(frozen=True, slots=True)
class Left:
    """Seconds that the stage under way takes still, and the whole; None where it can't be known."""

    stage: float | None
    whole: float | None


def earlier(runs: Path, state: TrainingState, folder: Path) -> Past | None:
    """Return what the latest run of the same model before this one tells; None without one."""
    for other in [found for found in folders(runs) if found.name < folder.name][:LOOKED_AT]:
        report = read_report(other)
        if report is None or report.model != state.model or not report.attempts:
            continue
        spent = dict(report.phases)
        tries = len(report.attempts)
        took = {
            stage: sum(spent.get(phase, 0.0) for phase in phases) / (tries if stage in AGAIN else 1)
            for stage, phases in STAGES.items()
        }
        return Past(took, len({fate.difference for fate in report.fates if fate.trained}))
    return None


def left(state: TrainingState, past: Past | None, elapsed: float) -> Left:
    """Return what is left when `elapsed` seconds have gone by since the run began."""
    span = state.now
    if span is None:
        return Left(None, None)
    known: dict[str, float] = {}
    if past is not None:
        more = state.differences / past.differences if state.differences and past.differences else 1
        known = {
            stage: took * (more if stage in COUNTED else 1) for stage, took in past.seconds.items()
        }
    here: float | None = None
    if span.done and span.total:
        pace = (span.last - span.since) / span.done
        here = pace * max(0, span.total - span.done) - (elapsed - span.last)
    elif span.stage in known:
        here = known[span.stage] - (elapsed - span.began)
    here = None if here is None else max(0.0, here)
    names = list(STAGES)
    coming = names[names.index(span.stage) + 1 :]
    if here is None or not all(stage in known for stage in coming):
        return Left(here, None)
    whole = here + sum(known[stage] for stage in coming)
    if state.practice:
        tries = max(0, state.planned - max(1, span.attempt))
        whole += tries * sum(known.get(stage, 0.0) for stage in AGAIN)
    return Left(here, whole)


def about(seconds: float) -> str:
    """Return a time in words as rough as it is known."""
    if seconds < 8:
        return tr("a few seconds")
    if seconds < 100:
        return tr("about {n} s", n=5 * round(seconds / 5))
    minutes = round(seconds / 60)
    if minutes < 100:
        return trn("about {n} minute", "about {n} minutes", minutes)
    return tr("about {hours} h {minutes} min", hours=minutes // 60, minutes=minutes % 60 // 10 * 10)
