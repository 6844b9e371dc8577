"""Compute the amount of work of a night in advance. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.evaluate.baselines import prompts_beside
from trainer.evaluate.lesson_answers import prompts_of
from trainer.fit.batch import TokenTree
from trainer.fit.batch_sampler import Sampler
from trainer.fit.hyperparameters import recipe_of
from trainer.fit.lr_schedule import step_size, steps_for
from trainer.fit.model.base_model import count_layers
from trainer.fit.training_state import SURVEYED
from trainer.lessons.lessons import samples_of

if TYPE_CHECKING:
    from memory.settings.settings import Settings
    from trainer.fit.job import Sample
    from trainer.lessons.lessons import CurriculumPlan

ANCHOR_TOKENS = 60
"""Approximate tokens of an anchor with the base's reply."""
DRAWS = 16
"""Number of steps drawn to measure how many tokens one has."""
IN_CONTEXT_SHARE, IN_CONTEXT_COST = 0.5, 2.0
"""Share of the prompts that are asked again in a context, and the relative cost of one there."""


@dataclass(frozen=True, slots=True)
class Work:
    """The work of a night; the base must still be asked `uncached` of the `prompts`.

    A prompt in a context counts IN_CONTEXT_COST times in `uncached`. `baselines` and `gate` are numbers
    of prompts, `tokens` is the size of all training sequences, `steps` the most steps, with
    `step_tokens` each.
    """

    uncached: float
    prompts: int
    baselines: int
    gate: int
    tokens: float
    steps: int
    step_tokens: float
    survey_tokens: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """The part of the work that does not depend on the chosen prompts."""

    baselines: int
    lessons_tested: int
    lesson_tokens: int
    steps: int
    step_tokens: float
    survey_tokens: float

    @classmethod
    def of(cls, plan: CurriculumPlan, base: Path, settings: Settings, *, current: bool) -> Sizes:
        """Return the sizes for a plan on the model file `base`."""
        samples = samples_of(plan.lessons, ())
        layers = count_layers(base)
        recipe = recipe_of(settings.training, layers)
        mine, held = step_size(samples, 0.0, 1.0)
        tokens = sum(len(x.tokens) + len(x.rejected) for x in samples)
        tested = prompts_of(plan.lessons)
        # Each lesson is also asked in the thread of its mark and among others.
        placed = 2 * sum(x.kind != "naming" and not x.in_talk for x in plan.lessons)
        return cls(
            baselines=prompts_beside(plan.lessons, current=current),
            lessons_tested=tested + placed,
            lesson_tokens=tokens,
            steps=steps_for(recipe, samples),
            step_tokens=_drawn_tokens(samples, mine) + held * ANCHOR_TOKENS,
            survey_tokens=min(SURVEYED, 2 * len(samples)) * tokens / max(1, len(samples)),
        )

    def work(self, plan: CurriculumPlan, known: Callable[[str], bool]) -> Work:
        """Return the work of a plan."""
        held = plan.held
        every = [text for group in held.groups for text in group]
        fresh = sum(not known(text) for text in every)
        trained = len(held.near_trained) + len(held.trained)
        measured = len(held.near_measured) + len(held.measured)
        return Work(
            uncached=fresh * (1 + IN_CONTEXT_SHARE * IN_CONTEXT_COST),
            prompts=round(len(every) * (1 + IN_CONTEXT_SHARE)),
            baselines=self.baselines,
            gate=self.lessons_tested + round(measured * (1 + IN_CONTEXT_SHARE)),
            tokens=self.lesson_tokens + trained * (1 + IN_CONTEXT_SHARE) * ANCHOR_TOKENS,
            steps=self.steps,
            step_tokens=self.step_tokens,
            survey_tokens=self.survey_tokens,
        )


def _drawn_tokens(samples: Sequence[Sample], count: int) -> float:
    """Return the mean number of tokens of `count` samples that a step draws; they share prefixes."""
    sampler = Sampler(samples, (), seed=0)
    sizes: list[int] = []
    for _ in range(DRAWS):
        tree = TokenTree()
        for sample in sampler.draw(count, 0)[0]:
            tree.add_sample(sample)
        sizes.append(len(tree.tokens))
    return sum(sizes) / DRAWS
