"""Scripts of texts that share names."""

from __future__ import annotations

import pytest

from memory.text.scripts import in_other_scripts


@pytest.mark.parametrize(
    ("text", "other", "differ"),
    [
        ("What is Unix?", "Что такое Unix?", True),
        ("Что такое Unix?", "Unix とは何ですか", True),
        ("What is Unix?", "Who made Unix?", False),
        ("Что такое Unix?", "Кто создал Unix?", False),
        ("Unix", "Что такое Unix?", False),
        ("", "Что?", False),
        ("2 + 2", "Сколько будет 2 + 2?", False),
    ],
)
def test_the_words_that_differ_decide(text: str, other: str, differ: bool) -> None:
    assert in_other_scripts(text, other) is differ
    assert in_other_scripts(other, text) is differ
