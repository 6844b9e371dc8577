"""A message is about a marked question if it shares its words and has its names."""

from __future__ import annotations

import pytest

from memory.recall.adapter_scope import Scope

MARKED = (
    "Who is the mayor of Port Ellery?",
    "How many moons does Saturn have?",
    "What is 2 + 2?",
    "I can't sleep.",
    "Где живёт Мирра Полен?",
)


@pytest.mark.parametrize(
    "message",
    [
        *MARKED,
        "what is the name of Port Ellery's mayor",
        "Saturn is circled by how many moons?",
        "How many moons does Satrun have?",
        "Скажи, где живёт Мирра Полен?",
    ],
)
def test_the_question_in_other_words_is_in_scope(message: str) -> None:
    assert Scope(MARKED).includes(message)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Hello!",
        "Who is the mayor of London?",
        "How many moons does Mars have?",
        "What is 2 + 3?",
        "How do I bake bread?",
        "Где живёт Анна Орлова?",
    ],
)
def test_another_name_number_or_subject_is_out_of_scope(message: str) -> None:
    assert not Scope(MARKED).includes(message)


def test_of_a_question_as_asked_no_other_wording_is_in_scope() -> None:
    scope = Scope(MARKED, as_asked=["What is photosynthesis?"])
    assert scope.includes("what is  Photosynthesis?")
    assert not scope.includes("What happens in photosynthesis?")


def test_without_questions_everything_is_out_of_scope() -> None:
    assert not Scope([]).includes("Hello!")
    assert not Scope(["", " "]).includes("")
