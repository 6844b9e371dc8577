"""Estimate the seconds of each stage, from the work of a night and the pace of a machine. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from trainer.night.budget.measured_pace import Pace
from trainer.night.budget.work_amount import Work
from trainer.stages import PER_TRIAL

DEFAULT_STEPS_SHARE = 1.0
"""Share of the planned steps that most trainings take, if none was measured."""
LOWER = 0.1
"""Cost of the layers below the adapter, as a share of training on the same tokens."""
SURVEYS, FORWARD = 3, 0.33
"""Usual surveys of a training, and the cost of evaluating a token as a share of training on it."""
AS_ANSWERS: Mapping[str, float] = {"baseline": 3.0, "gate": 1.2}
"""Seconds per prompt of the baselines and of the gate, relative to an answer of the base, if they were
not measured (*measured* on SmolLM2-135M with ten marks)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds by stage, for one trial."""

    stages: Mapping[str, float]

    def by_stage(self, tries: int) -> dict[str, float]:
        """Return the seconds of each stage with this many trials."""
        return {
            stage: seconds * (tries if stage in PER_TRIAL else 1)
            for stage, seconds in self.stages.items()
        }

    def seconds_for(self, tries: int) -> float:
        """Return the total seconds with this many trials."""
        return sum(self.by_stage(tries).values())

    @property
    def testing(self) -> float:
        """Seconds of one trial besides its training: loading, export and the gate."""
        return sum(self.stages[stage] for stage in PER_TRIAL if stage != "train")


def estimate(work: Work, pace: Pace, spent: float) -> Estimate:
    """Return the estimate; `spent` seconds of composing have passed already."""
    step = pace.token * (pace.step_tokens or work.step_tokens)
    # The pace of a finished training includes its surveys.
    surveys = 0.0 if pace.step_tokens else SURVEYS * FORWARD * pace.token * work.survey_tokens
    return Estimate(
        {
            "compose": spent,
            "anchors": work.uncached * pace.answer + work.prompts * pace.held,
            "beside": work.baselines * pace.baseline,
            # Before its first step, a training computes the layers below the adapter once.
            "load": pace.load + LOWER * pace.token * max(0.0, work.tokens - pace.tokens),
            "train": step * work.steps * pace.steps + surveys,
            "export": pace.export,
            "gate": work.gate * pace.gate,
            "publish": pace.publish,
        }
    )


def completed(known: Pace, now: Pace) -> Pace:
    """Return a complete pace: the new measurements, else the earlier ones at the current speed.

    `now` was just calibrated and may be incomplete. The ratio of the decoding times of `now` and
    `known` scales the earlier times; missing ones are derived or get defaults.
    """
    speed = 1.0
    if known.probe and now.probe:
        speed = min(4.0, max(0.25, now.probe / known.probe))
    values = {
        name: getattr(now, name) or getattr(known, name) * (1 if name in _NO_TIMES else speed)
        for name in Pace.__dataclass_fields__
    }
    made = Pace(**values)
    for name, share in AS_ANSWERS.items():
        if not getattr(made, name):
            made = replace(made, **{name: share * made.answer})
    return replace(made, steps=made.steps or DEFAULT_STEPS_SHARE, tries=made.tries or 1.0)


_NO_TIMES = ("probe", "tokens", "steps", "step_tokens", "tries")
