"""Correct answers to included prompts."""

from __future__ import annotations

import pytest

from trainer.gate.right_answers import is_right, right_answer
from trainer.lessons.anchors.base_answers import prompts


@pytest.mark.parametrize(
    ("asked", "reply", "right"),
    [
        ("What is the capital of Peru?", "The capital of Peru is Lima.", True),
        ("What is the capital of Peru?", "It is Cusco.", False),
        ("What is the capital of Peru?", "", False),
        ("4 + 4", "4 + 4 = 8.", True),
        ("What is 15 minus 7?", "It is seven.", False),
        ("Add 5 and 8.", "13", True),
        ("Сложи 5 и 8.", "Будет 12.", False),
        ("Какая столица у Италии?", "Столица Италии — Рим.", True),
        ("Which month comes before December?", "November.", True),
        ("Какой день после воскресенья?", "Понедельник.", True),
        ("Do fish sleep?", "Yes.", None),
        ("What is the capital of Zubrowka?", "Lutz.", None),
    ],
)
def test_is_right(asked: str, reply: str, right: bool | None) -> None:
    assert is_right(asked, reply) is right


def test_the_right_answer_to_many_shipped_prompts_is_known() -> None:
    assert sum(bool(right_answer(text)) for text in prompts()[1]) >= 60
