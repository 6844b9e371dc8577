"""Decide what to try after a rejection, depending on its reason.

    spread       look-alikes changed: train them, and near misses more often; then leave out the
                 differences that still spread
    harm         answers became wrong, a refusal or endless: train these questions
    drift        unrelated answers changed: a larger weight on anchors, then a smaller learning rate
    not learned  more steps if they ran out, else a larger learning rate
    form         replies loop or are empty: a smaller learning rate

Each trial changes the best one so far, and none is repeated. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from memory.sentence import NOTHING, Sentence

if TYPE_CHECKING:
    from memory.settings.settings import Settings, TrainingSettings
    from trainer.night.request import Practice

TRIES = 3
"""Most adapters that a night trains."""
MORE, FIRMER, LONGER = 3.0, 2.0, 2.0
"""Factors of how often near misses are trained, of the weight of anchors, and of the steps."""
RATE_FACTOR = 2.0
"""Factor between two learning rates, beyond those of the settings."""
LEARN = frozenset({"lessons", "alone", "rephrasings", "kept"})
SPREAD = frozenset({"spread", "near_misses"})
DRIFT = frozenset({"anchors", "kl", "perplexity", "harmed"})
FORM_MEASURES = frozenset({"sound", "endless"})
NAMING_MEASURES = SPREAD | {"harmed", "endless"}
"""Measures that name the questions whose answers changed, so that the next trial can train them."""
FAILED = "failed"
"""The name used in place of a measure if the training itself failed."""


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """What one trial trains with.

    `near` multiplies how often near misses are drawn, `anchors` the weight of anchors, `longer` how
    often lessons are shown. `hard` are questions of the gate that an earlier trial got wrong, which are
    trained; `without` are differences to leave out. `change` says what is different from the first
    trial.
    """

    number: int
    rate: float
    seed: int
    steps: int
    near: float = 1.0
    anchors: float = 1.0
    longer: float = 1.0
    hard: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    change: Sentence = field(default=NOTHING, compare=False)

    def same_as(self, other: TrialPlan) -> bool:
        """Whether both train the same."""
        return replace(self, number=0) == replace(other, number=0)


@dataclass(frozen=True, slots=True)
class Tried:
    """The outcome of a trial.

    `failed` are the names of the measures that failed, `ended` is why the training ended. `changed` are
    the look-alike questions whose answers changed, and all questions whose answers contain a lesson's
    words or became worse. `removable` are the differences that spread to other questions and may be
    left out.
    """

    plan: TrialPlan
    failed: frozenset[str]
    ended: str = ""
    changed: frozenset[str] = frozenset()
    removable: frozenset[str] = frozenset()


def first_plans(settings: Settings, practice: Practice | None) -> list[TrialPlan]:
    """Return the trials that are certain: the first one, or all episodes of a practice.

    A night starts with the first learning rate. Episodes take the learning rates in turn, each with
    its own seed.
    """
    training = settings.training
    rates = training.learning_rates
    if practice is None:
        return [TrialPlan(1, rates[0], training.seed, training.max_steps)]
    return [
        TrialPlan(number + 1, rates[number % len(rates)], training.seed + number, practice.steps)
        for number in range(practice.episodes)
    ]


def most_trials(practice: Practice | None) -> int:
    """Return how many adapters a run trains at most."""
    return TRIES if practice is None else practice.episodes


def next_plan(tried: Sequence[Tried], best: Tried, training: TrainingSettings) -> TrialPlan | None:
    """Return the next trial; None if no promising one is left.

    `tried` are all trials so far, `best` is the best of them.
    """
    hard = frozenset[str]().union(*(one.plan.hard | one.changed for one in tried))
    retried = any(one.plan.hard for one in tried)
    for plan in _suggested(best, training, hard, retried):
        if not any(plan.same_as(one.plan) for one in tried):
            return replace(plan, number=len(tried) + 1)
    return None


def _suggested(
    best: Tried, training: TrainingSettings, hard: frozenset[str], retried: bool
) -> Iterator[TrialPlan]:
    """Yield the trials that the reason for a rejection suggests, the most promising first.

    `hard` are the questions whose answers changed in any trial: one that was mended by training it
    changes again if the next trial does not train it. `retried` tells whether a trial was already
    trained with hard questions.
    """
    failed, plan = best.failed, best.plan
    if FAILED in failed:
        yield from _rates(plan, training, higher=False)
        return
    if failed & SPREAD and retried and best.removable:
        left_out = plan.without | best.removable
        yield replace(
            plan,
            without=left_out,
            change=Sentence(
                "without {count} of the differences, to keep other answers unchanged",
                count=len(left_out),
            ),
        )
    if failed & NAMING_MEASURES and hard - plan.hard:
        yield _with_changed_questions(plan, hard)
    if failed & LEARN:
        if best.ended in ("steps", "time"):
            yield _longer(plan)
        yield from _rates(plan, training, higher=not failed & (DRIFT | FORM_MEASURES))
        yield _longer(plan)
    if failed & (DRIFT | SPREAD):
        yield _firmer(plan)
    if failed & FORM_MEASURES:
        yield from _rates(plan, training, higher=False)
        yield _firmer(plan)
    if failed & (DRIFT | SPREAD):
        yield from _rates(plan, training, higher=False)
        yield _firmer(_firmer(plan))


def _with_changed_questions(plan: TrialPlan, hard: frozenset[str]) -> TrialPlan:
    return replace(
        plan,
        near=plan.near * MORE,
        hard=hard,
        change=Sentence(
            "adding {n} question whose answer changed and training similar questions {times:g} "
            "times as often",
            "adding {n} questions whose answers changed and training similar questions {times:g} "
            "times as often",
            n=len(hard),
            times=plan.near * MORE,
        ),
    )


def _firmer(plan: TrialPlan) -> TrialPlan:
    return replace(
        plan,
        anchors=plan.anchors * FIRMER,
        change=Sentence(
            "with {times:g} times the weight on answers that must not change",
            times=plan.anchors * FIRMER,
        ),
    )


def _longer(plan: TrialPlan) -> TrialPlan:
    longer = plan.longer * LONGER
    return replace(
        plan, longer=longer, change=Sentence("training {times:g} times as long", times=longer)
    )


def _rates(plan: TrialPlan, training: TrainingSettings, *, higher: bool) -> Iterator[TrialPlan]:
    """Yield the plan at the learning rates of the settings in one direction, then at one beyond."""
    rates = {rate for rate in training.learning_rates if (rate > plan.rate) == higher}
    found = sorted(rates - {plan.rate}, key=lambda rate: abs(rate - plan.rate))
    beyond = plan.rate * RATE_FACTOR if higher else plan.rate / RATE_FACTOR
    for rate in (*found, min(1.0, beyond)):
        yield replace(
            plan, rate=rate, change=Sentence("with a learning rate of {rate:g}", rate=rate)
        )
