"""The limits allow for few answers, and a reduced scale is tried only if it may help."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memory.sentence import Sentence
from memory.settings.paths import Home
from tests.support.values import quick_settings
from trainer.evaluate.lesson_answers import LessonAnswers
from trainer.evaluate.metrics import Answer, Held
from trainer.gate.gate_measures import Findings, enough, measures
from trainer.gate.publication_verdict import Verdict
from trainer.report.report import Change, Measure

RIGHT, WRONG = Answer("So.", right=True, sound=True), Answer("No.", right=False, sound=True)
SAME = Held(True, True, 0.0, 0.0, 1, "So.", True)
OTHER = Held(False, False, 0.0, 0.0, 1, "No.", True)


def found(
    *reworded: Answer, near: int = 12, anchors: int = 48, changes: tuple[Change, ...] = ()
) -> Findings:
    answers = LessonAnswers((RIGHT,), (reworded or (RIGHT, RIGHT),))
    far = sum(not change.near for change in changes)
    return Findings(
        answers,
        answers,
        [*[OTHER] * (len(changes) - far), *[SAME] * (near - len(changes) + far)],
        [*[OTHER] * far, *[SAME] * (anchors - far)],
        changes,
    )


def measured(home: Home, findings: Findings, **gate: float) -> dict[str, Measure]:
    strict = {"lessons": 0.9, "rephrasings": 0.7, "near_misses": 0.9, "anchors": 0.95}
    counts = {"spread": 0, "harmed": 0, "endless": 0}
    settings = quick_settings(home, gate={**strict, **counts, **gate})
    return {item.name: item for item in measures(findings, settings.gate, ())}


@pytest.mark.parametrize(
    ("share", "threshold", "count", "passes"),
    [
        (0.5, 0.7, 2, True),
        (0.0, 0.7, 2, False),
        (0.0, 0.7, 1, False),
        (2 / 3, 0.7, 6, False),
        (0.75, 0.9, 4, True),
        (11 / 12, 0.95, 12, True),
        (10 / 12, 0.95, 12, False),
        (0.95, 0.95, 100, True),
    ],
)
def test_one_of_several_may_always_fail(
    share: float, threshold: float, count: int, passes: bool
) -> None:
    assert enough(share, threshold, count) == passes


def test_one_wrong_wording_of_two_warns_and_two_reject(home: Home) -> None:
    one = measured(home, found(RIGHT, WRONG))["rephrasings"]
    assert (one.passed, one.warned) == (False, True)
    both = measured(home, found(WRONG, WRONG))["rephrasings"]
    assert not both.may_serve


def test_unnoticeable_changes_count_only_in_the_exact_share(home: Home) -> None:
    noise = tuple(Change("?", "So.", "No.", undecided=True) for _ in range(10))
    made = measured(home, found(changes=noise))["anchors"]
    assert made.passed
    assert (made.value, made.strict) == (1.0, 38 / 48)
    seen = tuple(replace(change, undecided=False) for change in noise)
    assert not measured(home, found(changes=seen))["anchors"].passed


def test_harm_has_its_own_measure(home: Home) -> None:
    for harm, failing in (("wrong", "harmed"), ("refusal", "harmed"), ("form", "")):
        made = measured(home, found(changes=(Change("?", "So.", "No.", harm=harm),)))
        assert [name for name, item in made.items() if not item.may_serve] == [failing] * bool(
            failing
        )


def test_a_single_answer_with_a_lessons_words_rejects_whatever_the_rates(home: Home) -> None:
    for near in (True, False):
        one = Change("?", "So.", "No.", near=near, spread=True)
        made = measured(home, found(changes=(one,), near=400, anchors=400))
        assert [name for name, item in made.items() if not item.may_serve] == ["spread"]


def test_a_single_reply_that_does_not_end_rejects_wherever_it_is(home: Home) -> None:
    whole = found(near=400, anchors=400)
    loop, endless = replace(RIGHT, ended=False), replace(SAME, ended=False)
    for findings in (
        replace(whole, served=LessonAnswers((RIGHT,), ((loop,),))),
        replace(whole, near=[*whole.near, endless]),
        replace(whole, anchors=[*whole.anchors, endless]),
    ):
        made = measured(home, findings)
        assert [name for name, item in made.items() if not item.may_serve] == ["endless"]


@pytest.mark.parametrize(
    ("name", "value", "threshold", "reach"),
    [
        ("near_misses", 0.8, 0.9, True),
        ("near_misses", 0.5, 0.9, False),
        ("kl", 0.1, 0.05, True),
        ("kl", 0.5, 0.05, False),
        ("perplexity", 0.045, 0.01, True),
        ("spread", 2, 0, True),
        ("spread", 9, 0, False),
    ],
)
def test_a_reduced_scale_is_tried_only_near_the_limits(
    name: str, value: float, threshold: float, reach: bool
) -> None:
    answers = LessonAnswers((RIGHT,), ((),))
    measure = Measure(name, value, threshold, passed=False, sentence=Sentence("x"), drift=True)
    verdict = Verdict(1.0, (measure,), answers, (), answers, frozenset())
    assert verdict.within_reach == reach
