"""The trials of one run, and which of them is the best."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trainer.night.trials.next_trial import FAILED, TrialPlan, Tried
from trainer.night.trials.trial import Trial, failed_entry

if TYPE_CHECKING:
    from memory.errors import DiscernError
    from trainer.report.report import Attempt


SHORT_TRAINING_SECONDS = 120.0
"""Seconds of a training up to which another one is worth trying if a difference was left out: it may
learn all of them. After a longer one, what was left out is just recalled."""


@dataclass(slots=True)
class Sweep:
    """The trials of one run: those with a verdict, and those whose training failed."""

    made: list[Trial] = field(default_factory=list)
    broken: list[tuple[TrialPlan, DiscernError]] = field(default_factory=list)

    @property
    def best(self) -> Trial:
        """The trial to publish or to explain."""
        return max(self.made, key=lambda trial: trial.rank)

    @property
    def is_over(self) -> bool:
        """Whether the last trial passed, and another one is not worth its time."""
        return any(
            trial.verdict.passed
            and not trial.verdict.unlearnt
            and (not trial.verdict.left_out or trial.curves.seconds > SHORT_TRAINING_SECONDS)
            for trial in self.made[-1:]
        )

    @property
    def count(self) -> int:
        """How many trials were run."""
        return len(self.made) + len(self.broken)

    @property
    def tried(self) -> list[Tried]:
        """Every trial and its outcome."""
        failed = [Tried(plan, frozenset({FAILED})) for plan, _ in self.broken]
        return [*(trial.tried for trial in self.made), *failed]

    @property
    def leading(self) -> Tried:
        """What the next trial starts from."""
        return self.best.tried if self.made else self.tried[-1]

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The entry of each trial in the report, in order."""
        best = self.best
        entries = [trial.entry(chosen=trial is best) for trial in self.made]
        entries += [failed_entry(plan, error) for plan, error in self.broken]
        return tuple(sorted(entries, key=lambda entry: entry.number))
