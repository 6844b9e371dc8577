"""Rephrasings ask the same question, in English and Russian."""

from __future__ import annotations

import pytest

from trainer.lessons.rephrase import invent_word, rephrase

ASKED = [
    "What is the capital of Zubrowka?",
    "Who wrote the Blue Book?",
    "Tell me the colour of a zorn.",
    "Hello!",
    "I am sad today.",
    "2 + 2",
    "Какая столица у Зубровки?",
    "Кто такая Мирра?",
    "Назови цвет зорна.",
    "Привет",
    "日本の首都は?",
]


@pytest.mark.parametrize("asked", ASKED)
def test_held_out_rephrasings_are_never_trained_on(asked: str) -> None:
    made = rephrase(asked)
    assert len(made.held_out) == 2
    assert len(made.training) >= 3
    assert not {asked, *made.training} & set(made.held_out)
    assert len(set(made.training)) == len(made.training)


def test_a_question_is_also_rephrased_as_a_request() -> None:
    made = rephrase("What is the capital of Zubrowka?")
    assert "Tell me the capital of Zubrowka?" in made.training
    assert made.held_out[0] == "Can you tell me what the capital of Zubrowka is?"
    assert any("столиц" in text for text in rephrase("Какая столица у Зубровки?").training)


def test_a_name_stays_capitalized_inside_a_sentence() -> None:
    assert "Well, I am sad today." in rephrase("I am sad today.").training


@pytest.mark.parametrize("asked", ["", "   ", "?!", "…"])
def test_text_that_cannot_be_rephrased_gives_no_wordings(asked: str) -> None:
    assert rephrase(asked).training == ()


def test_an_invented_word_keeps_script_capitalization_and_russian_ending() -> None:
    import random

    order = random.Random(1)
    assert invent_word("Зубровки", order)[0].isupper()
    assert invent_word("Зубровки", order).endswith("ки")
    assert invent_word("stone", order).isascii()
