"""The report's advice follows from what failed, and names what was not tried yet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memory.sentence import Sentence
from memory.settings.paths import Home
from tests.support.values import quick_settings
from trainer.evaluate.lesson_answers import LessonAnswers
from trainer.evaluate.metrics import Answer
from trainer.gate.publication_verdict import Verdict
from trainer.night.postmortem import advice
from trainer.night.trials.next_trial import TrialPlan, Tried
from trainer.report.report import Change, Fate, Measure

PLAN = TrialPlan(1, 3e-3, 1, 100)
ANSWERS = LessonAnswers((Answer("Lutz.", right=True, sound=True),), ((),))
LOST = Fate("d" * 16, "contrast", "Who?", "Lutz.", "No.", "No.", "lost again")
REPELLED = replace(LOST, fate="repelled", advice=Sentence("shorten the better answer"))
CHANGED = Change("Who sang?", "Orla.", "Lutz.", near=True, spread=True)


def given(
    home: Home,
    *failed: str,
    fates: tuple[Fate, ...] = (),
    ended: str = "learnt",
    scale: float = 1.0,
    untried: TrialPlan | None = None,
) -> list[str]:
    """Return the advice after a trial in which the measures `failed`, and one other passed."""
    measures = [Measure(name, 0.0, 1.0, passed=False, sentence=Sentence(name)) for name in failed]
    measures.append(Measure("kept", 1.0, 1.0, passed="kept" not in failed, sentence=Sentence("k")))
    verdict = Verdict(scale, tuple(measures), ANSWERS, (CHANGED,), ANSWERS, frozenset())
    tried = Tried(PLAN, frozenset(failed), ended)
    return [str(one) for one in advice(tried, verdict, fates, quick_settings(home), untried)]


def test_a_passed_adapter_needs_no_advice(home: Home) -> None:
    assert given(home) == []


def test_a_training_that_was_stopped_only_needs_time(home: Home) -> None:
    assert given(home, "lessons", "spread", ended="stopped") == [
        "The training was stopped early: run `discern train --force` to train again."
    ]


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        ("lessons", "Not learned: 1. To fix this, shorten the better answer."),
        ("rephrasings", "Not learned: 1. To fix this, shorten the better answer."),
        ("kept", "A lesson learned earlier was lost: “Who?”."),
        ("near_misses", "similar questions also get the new reply"),
        ("spread", "such as “Who sang?”. Mark that reply with `/diff hold`"),
        ("anchors", "Learned too broadly: unrelated answers changed."),
        ("kl", "Learned too broadly: unrelated answers changed."),
        ("harmed", "Learned too broadly: unrelated answers changed."),
        ("sound", "Malformed replies: some are empty or do not end."),
        ("endless", "Malformed replies: some are empty or do not end."),
    ],
)
def test_each_reason_has_its_own_advice(home: Home, failed: str, said: str) -> None:
    first, last = given(home, failed, fates=(LOST, REPELLED))
    assert said in first
    assert last.startswith("Everything the results suggest was already tried.")


def test_a_weaker_adapter_that_still_changes_answers_is_reported_with_its_strength(
    home: Home,
) -> None:
    assert "even at 50% strength" in given(home, "anchors", scale=0.5)[0]


@pytest.mark.parametrize(
    ("untried", "said"),
    [
        (replace(PLAN, without=frozenset({"abcdef12345"})), "training without abcdef12"),
        (replace(PLAN, rate=1e-3), "training.learning_rates = [0.001]"),
        (replace(PLAN, longer=2.0), "training.visits = 240"),
        (replace(PLAN, anchors=2.0), "training.anchor_weight = 4"),
        (replace(PLAN, hard=frozenset({"Who sang?"})), "the similar questions whose answers"),
    ],
)
def test_the_advice_names_the_trial_that_would_come_next(
    home: Home, untried: TrialPlan, said: str
) -> None:
    last = given(home, "lessons", untried=untried)[-1]
    assert last.startswith("Not tried yet: ")
    assert said in last
