"""The initial estimate of a training in words, and its remaining time.

A stage that counts (questions, steps) is assumed to continue at its pace, and later stages to take as
long as estimated. Without an estimate, the remaining time of the whole run is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

from memory.i18n.interface_language import render, tr, trn
from trainer.events import Estimated
from trainer.stages import PER_TRIAL, STAGES, grouped
from tui.training.state import TrainingView

MIN_LISTED_SECONDS = 8.0
"""Minimum seconds of a part to be listed."""


@dataclass(frozen=True, slots=True)
class Remaining:
    """Seconds left in the current stage and in the whole run; None if unknown."""

    stage: float | None
    whole: float | None


def estimate(state: TrainingView, elapsed: float) -> Remaining:
    """Return the time left `elapsed` seconds after the run began."""
    span = state.current_stage
    if span is None:
        return Remaining(None, None)
    known: dict[str, float] = {}
    if (told := state.estimate) is not None:
        tries = max(1, told.tries)
        known = {
            stage: told.stages.get(stage, 0.0) / (tries if stage in PER_TRIAL else 1)
            for stage in STAGES
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


def estimate_text(event: Estimated) -> str:
    """Return the estimated duration of a run, by phase, and what is left out to keep within limits."""
    parts = [
        f"{tr(name)} {rough_time(seconds)}"
        for name, seconds in grouped(event.stages)
        if seconds >= MIN_LISTED_SECONDS
    ]
    said = tr("this takes {time}", time=rough_time(event.seconds))
    if len(parts) > 1:
        said = f"{said} ({', '.join(parts)})"
    if event.seconds >= MIN_LISTED_SECONDS:
        trial = sum(event.stages.get(stage, 0.0) for stage in PER_TRIAL) / max(1, event.tries)
        more = tr("and {time} more for each rejected attempt", time=rough_time(trial))
        said = f"{said}, {more}"
    return f"{said}; {render(event.left_out)}" if event.left_out else said
