"""The stages of a run, as its estimate, its report and the Training screen show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

STAGES: Mapping[str, tuple[str, ...]] = {
    "room": ("room",),
    "compose": ("start", "compose", "calibrate", "estimate"),
    "anchors": ("anchors",),
    "beside": ("beside",),
    "load": ("load",),
    "train": ("train", "trained"),
    "export": ("export", "probe"),
    "gate": ("gate",),
    "publish": ("publish", "report"),
}
"""Stages of a run in order, each with the event phases that belong to it."""
GROUPS: Mapping[str, tuple[str, ...]] = {
    "base answers": ("room", "compose", "anchors"),
    "baselines": ("beside",),
    "training": ("load", "train", "export"),
    "gate": ("gate",),
    "publish": ("publish",),
}
"""The groups of stages that users see."""
PER_TRIAL = ("load", "train", "export", "gate")
"""Stages that are repeated for each trial."""


def by_stage(phases: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the seconds of each stage, from the seconds of each event phase in a report."""
    stage_of = {phase: stage for stage, some in STAGES.items() for phase in some}
    found: dict[str, float] = {}
    for phase, seconds in phases:
        if (stage := stage_of.get(phase)) is not None:
            found[stage] = found.get(stage, 0.0) + seconds
    return {stage: found[stage] for stage in STAGES if stage in found}


def grouped(stages: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return the seconds of each group, from the seconds of each stage."""
    return [
        (name, sum(stages.get(stage, 0.0) for stage in group)) for name, group in GROUPS.items()
    ]
