"""Estimate of the time a training still takes, from its own pace and from an earlier run.

A stage that counts (questions, steps) continues at its pace so far. Later stages take as long as in an
earlier run of the same model, in proportion to the number of differences. Without either there is no
estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from memory.i18n.translation import tr, trn
from trainer.report.report import folders, read_report
from trainer.stages import PER_TRIAL, STAGES
from tui.training.state import TrainingState

MAX_READ = 6
"""Most reports read to find one of a run that reached the gate."""
COUNTED = ("anchors", "beside", "train", "gate")
"""Stages that take longer with more differences."""


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """Seconds of each stage (of one trial) of an earlier run, and its number of differences."""

    seconds: Mapping[str, float]
    differences: int


@dataclass(frozen=True, slots=True)
class Remaining:
    """Seconds left in the current stage and in the whole run; None if unknown."""

    stage: float | None
    whole: float | None


def find_earlier_run(runs: Path, state: TrainingState, folder: Path) -> EarlierRun | None:
    """Return the times of the latest run of the same model before `folder`; None without one."""
    for other in [found for found in folders(runs) if found.name < folder.name][:MAX_READ]:
        report = read_report(other)
        if report is None or report.model != state.model or not report.attempts:
            continue
        spent = dict(report.phases)
        trials = len(report.attempts)
        took = {
            stage: sum(spent.get(phase, 0.0) for phase in phases)
            / (trials if stage in PER_TRIAL else 1)
            for stage, phases in STAGES.items()
        }
        return EarlierRun(took, len({fate.difference for fate in report.fates if fate.trained}))
    return None


def estimate(state: TrainingState, past: EarlierRun | None, elapsed: float) -> Remaining:
    """Return the time left `elapsed` seconds after the run began."""
    span = state.current_stage
    if span is None:
        return Remaining(None, None)
    known: dict[str, float] = {}
    if past is not None:
        more = state.differences / past.differences if state.differences and past.differences else 1
        known = {
            stage: took * (more if stage in COUNTED else 1) for stage, took in past.seconds.items()
        }
    stage_left: float | None = None
    if span.done and span.total:
        pace = (span.last - span.since) / span.done
        stage_left = pace * max(0, span.total - span.done) - (elapsed - span.last)
    elif span.stage in known:
        stage_left = known[span.stage] - (elapsed - span.began)
    stage_left = None if stage_left is None else max(0.0, stage_left)
    names = list(STAGES)
    later = names[names.index(span.stage) + 1 :]
    if stage_left is None or not all(stage in known for stage in later):
        return Remaining(stage_left, None)
    whole = stage_left + sum(known[stage] for stage in later)
    if state.practice:
        trials = max(0, state.planned - max(1, span.attempt))
        whole += trials * sum(known.get(stage, 0.0) for stage in PER_TRIAL)
    return Remaining(stage_left, whole)


def rough_time(seconds: float) -> str:
    """Return a rounded duration in words."""
    if seconds < 8:
        return tr("a few seconds")
    if seconds < 100:
        return tr("about {n} s", n=5 * round(seconds / 5))
    minutes = round(seconds / 60)
    if minutes < 100:
        return trn("about {n} minute", "about {n} minutes", minutes)
    return tr("about {hours} h {minutes} min", hours=minutes // 60, minutes=minutes % 60 // 10 * 10)
