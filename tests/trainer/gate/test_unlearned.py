"""A few differences that could not be learned do not block the others."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from memory.difference import State
from memory.journal.journal import Journal
from memory.sentence import Sentence
from memory.settings.paths import Home
from tests.support.values import difference, quick_settings
from trainer.evaluate.lesson_answers import LessonAnswers
from trainer.evaluate.metrics import Answer
from trainer.gate.publication_verdict import Verdict
from trainer.gate.unlearned import excuse
from trainer.lessons.anchors import choose_unchanged_prompts
from trainer.lessons.lesson import Lesson, Question
from trainer.night.night import run_night
from trainer.night.request import RunRequest
from trainer.report.report import Measure


def judged(*right: str, kept: bool = True, drifted: bool = False) -> tuple[Verdict, list[Lesson]]:
    """Return a verdict with a lesson for each text of three letters, for the question and its two
    held-out rephrasings: "y" is right, "n" wrong.
    """
    lessons = [
        Lesson(f"{number:016}", "contrast", Question("Who?", ()), "So.", (), None, 1.0)
        for number in range(len(right))
    ]

    def said(how: str) -> Answer:
        return Answer("", right=how == "y", sound=True)

    served = LessonAnswers(
        tuple(said(text[0]) for text in right),
        tuple(tuple(said(how) for how in text[1:]) for text in right),
    )
    measures = (
        Measure("lessons", served.lessons, 0.9, served.lessons >= 0.9, Sentence("lessons")),
        Measure(
            "rephrasings", served.rephrasings, 0.7, served.rephrasings >= 0.7, Sentence("other")
        ),
        Measure("kept", float(kept), 1.0, kept, Sentence("previously learned lessons lost")),
        Measure("anchors", 1.0 - drifted, 0.95, not drifted, Sentence("unrelated answers"), True),
    )
    return Verdict(1.0, measures, served, (), served, frozenset()), lessons


def test_one_unlearned_lesson_of_three_is_left_out_and_named() -> None:
    verdict, lessons = judged("yyy", "nnn", "yyy")
    assert not verdict.passed
    found = excuse(verdict, lessons)
    assert found.passed
    assert not found.clean
    assert found.unlearnt == {lessons[1].difference}
    assert "00000000 could not be learned" in str(found.measures[0].sentence)
    assert "all but 1" in str(found.sentence)


def test_a_fully_learned_set_leaves_nothing_out() -> None:
    verdict, lessons = judged("yyy", "yyy")
    assert excuse(verdict, lessons) == verdict
    assert verdict.clean


def test_at_most_one_lesson_in_ten_may_be_left_unlearned() -> None:
    good = ["yyy"] * 18
    verdict, lessons = judged(*good, "nnn", "nnn", "nnn", "nnn")
    assert excuse(verdict, lessons).unlearnt == {lessons[18].difference, lessons[19].difference}
    verdict, lessons = judged(*good, "nnn", "nnn", "nnn", "nnn", "nnn")
    assert not excuse(verdict, lessons).passed
    verdict, lessons = judged("nnn", "nnn", "yyy")
    assert not excuse(verdict, lessons).passed


def test_a_single_unlearned_lesson_fails_the_gate() -> None:
    for right in (("nnn",), ("nnn", "nnn")):
        verdict, lessons = judged(*right)
        assert not excuse(verdict, lessons).passed


def test_a_lesson_learned_only_verbatim_may_be_left_out_too() -> None:
    verdict, lessons = judged("yyy", "ynn", "yyy")
    assert excuse(verdict, lessons).unlearnt == {lessons[1].difference}


def test_a_lesson_of_the_current_adapter_is_never_left_out() -> None:
    verdict, lessons = judged("yyy", "nnn", "yyy", kept=False)
    assert not excuse(verdict, lessons).passed


def test_an_adapter_that_drifts_is_scaled_down_despite_an_unlearned_lesson() -> None:
    verdict, lessons = judged("yyy", "nnn", "yyy", drifted=True)
    assert not verdict.only_drifts
    found = excuse(verdict, lessons)
    assert not found.passed
    assert found.only_drifts


@pytest.mark.slow
def test_a_night_with_one_unlearnable_lesson_publishes_the_others(
    home: Home, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FEWEST_ANCHORS", "MEASURED_ANCHORS", "FEWEST_MEASURED"):
        monkeypatch.setattr(choose_unchanged_prompts, name, 4)
    monkeypatch.setattr(choose_unchanged_prompts, "NEAR_TRAINED", (4, 4))
    order = random.Random(1)
    noise = "".join(order.choice("abcdefghijklmnop qrst") for _ in range(220)).strip()
    marks = [difference("Who?", "Lutz."), difference("Where?", "Here."), difference("When?", noise)]
    with Journal(home.journal) as journal:
        for item in marks:
            journal.differences.add(item)
    training = {
        "max_steps": 120,
        "learning_rates": [1e-2],
        "rank": 8,
        "anchors_per_lesson": 1,
        "anchor_weight": 0.1,
        "hidden_weight": 0.1,
    }
    settings = quick_settings(home, training=training, gate={"lessons": 0.9})
    report = run_night(RunRequest(home, settings, tiny))
    assert report.verdict == "published"
    assert [fate.fate for fate in report.fates] == ["learnt", "learnt", "repelled"]
    assert any(f"{marks[2].id[:8]} could not be learned" in str(note) for note in report.notes)
    with Journal(home.journal) as journal:
        assert journal.differences.get(marks[2].id).state is State.FAILING
