"""The order of prompts when there is no time for all."""

from __future__ import annotations

from trainer.lessons.anchors.anchor_order import HeldPrompts, telling_order

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
    # The second one is as unlike the first as can be.
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
