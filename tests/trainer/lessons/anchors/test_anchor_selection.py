"""Anchors exclude what a mark changes and languages that the base does not speak."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memory.settings.paths import Home
from tests.support.values import difference, make_turn, quick_settings
from trainer.lessons.anchors.anchor_selection import anchor_prompts, unmarked_questions
from trainer.lessons.rephrase import is_russian

MARK = difference(
    "Which language was used to write Unix?",
    "Unix was written in C.",
    replied="Unix was written in Python.",
)


def kept(asked: str, replied: str = "Because.") -> bool:
    turn = replace(make_turn(asked), replied=replied)
    return unmarked_questions([turn], [MARK]) == [asked]


@pytest.mark.parametrize(
    "asked",
    [
        "What language was used to write Unix?",
        "In which language is Unix written?",
        "Unix was written in what language?",
        "Which language was used to write unix",
    ],
)
def test_a_rephrased_marked_question_is_not_an_anchor(asked: str) -> None:
    assert not kept(asked)


def test_a_related_question_with_the_marked_reply_is_not_an_anchor() -> None:
    assert not kept("Tell me about Unix's source", "It was written in Python.")
    assert kept("Tell me about Unix's licence", "It belongs to Novell.")


@pytest.mark.parametrize(
    "asked",
    ["What language was used to write Linux?", "Who sells Unix?", "Which language do you speak?"],
)
def test_other_questions_are_anchors(asked: str) -> None:
    assert kept(asked)


def test_prompts_in_a_language_that_the_base_does_not_speak_are_left_out(home: Home) -> None:
    own = ["Where is the key?", "Где лежит ключ?"]
    both = anchor_prompts([], own, set(), quick_settings(home))
    one = anchor_prompts([], own, set(), quick_settings(home), frozenset({"english"}))
    assert set(own) <= {*both[0], *both[1]}
    assert not any(is_russian(text) for half in one for text in half)
    assert "Where is the key?" in {*one[0], *one[1]}
