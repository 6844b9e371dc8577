"""Which prompts become anchors, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memory.settings.paths import Home
from tests.support.values import difference, make_turn, quick_settings
from trainer.lessons.anchors.choose_unchanged_prompts import (
    HeldPrompts,
    anchor_prompts,
    telling_order,
    unmarked_questions,
)
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


ASKED = ["What is the capital of Zubrowka?", "Who wrote the Blue Letters?"]
TEXTS = [
    "How do I boil an egg?",
    "Name a river in Asia.",
    "What is the capital of Freedonia?",
    "Why is the sky blue?",
    "Who wrote the Red Letters?",
    "What is seven plus five?",
    "What is the capital of Freedonia and its river?",
]


def test_the_nearest_prompts_of_each_question_come_first_among_spread_ones() -> None:
    order = telling_order(TEXTS, ASKED)
    assert sorted(order) == sorted(TEXTS)
    assert order[0].startswith("What is the capital of Freedonia")
    assert order[2] == "Who wrote the Red Letters?"
    # The second one is as different from the first as possible.
    assert "capital" not in order[1]


def test_the_order_is_deterministic_and_works_without_questions() -> None:
    assert telling_order(TEXTS, ASKED) == telling_order(TEXTS, ASKED)
    assert sorted(telling_order(TEXTS, [])) == sorted(TEXTS)
    assert telling_order([], ASKED) == ()


def test_sorting_keeps_prompts_in_their_groups() -> None:
    held = HeldPrompts(tuple(TEXTS[:2]), tuple(TEXTS[2:4]), (), tuple(TEXTS[4:]))
    ordered = held.ordered(ASKED)
    assert ordered.count == len(TEXTS)
    assert [sorted(group) for group in ordered.groups] == [sorted(g) for g in held.groups]
