"""Recall distinguishes numbers, and recognizes a number in digits and in words."""

from __future__ import annotations

import pytest

from memory.journal.journal import Journal
from memory.recall.embedder import NgramEmbedder
from memory.recall.hybrid_search import Recalled, _with_numbers, search
from memory.settings.paths import Home
from memory.settings.settings import Settings
from memory.text.numbers import numbers, with_digits
from memory.text.stemming import plain, stems

SAME = [
    ("What is 2 + 2?", "2+2"),
    ("What is 2 + 2?", "2 + 2 ="),
    ("2+2", "2 + 2 = ?"),
    ("What is 2 + 3?", "two plus three"),
    ("What is 2 + 3?", "What is two plus three?"),
    ("Сколько будет 2 + 3?", "сколько будет два плюс три"),
    ("Сколько будет 2 + 3?", "два плюс три?"),
    ("What is 3 + 2?", "What is 2 + 3?"),
    ("What is 2 * 3?", "what is two times three"),
    ("What is 6 / 3?", "6 ÷ 3"),
    ("What is 2 x 3?", "2 × 3"),
    ("What happens in Chapter 3?", "what happens in chapter three"),
    ("What happens in Chapter 4?", "what happens in chapter IV?"),
    ("What happened in 1984?", "What happened in nineteen eighty-four?"),
    ("What is new in Python 3.12?", "whats new in python 3.12"),
    ("What is the 2nd law of thermodynamics?", "the second law of thermodynamics"),
    ("Что в третьей главе?", "что в главе 3"),
    ("What is 25 + 1?", "twenty-five plus one"),
    ("What is 1,000 / 4?", "1000 / 4"),
    ("Сколько будет 2,5 + 1?", "2.5 + 1"),
    ("How many people live in Lutz? 120 thousand?", "How many people live in Lutz?"),
    ("What is the capital of Zubrowka?", "which one is the capital of Zubrowka?"),
    ("What should I do first on Zorvane?", "what to do first on zorvane"),
]
OTHER = [
    ("What is 2 + 2?", "What is 2 + 3?"),
    ("What is 2 + 3?", "What is 2 + 2?"),
    ("What is 2 + 3?", "What is 2 + 3 + 2?"),
    ("What is 5 - 3?", "What is 3 - 5?"),
    ("What is two plus two?", "What is two plus three?"),
    ("What is 2 + 2?", "two plus three"),
    ("Сколько будет 2 + 2?", "сколько будет два плюс три?"),
    ("Сколько будет два плюс два?", "Сколько будет два плюс три?"),
    ("What happens in Chapter 3?", "What happens in Chapter 4?"),
    ("What happens in Chapter 3 of Middlemarch?", "What happens in Chapter 4 of Middlemarch?"),
    (
        "What happens in chapter three of Middlemarch?",
        "What happens in chapter four of Middlemarch?",
    ),
    ("What happens in chapter one of Middlemarch?", "What happens in chapter two of Middlemarch?"),
    ("Who won the cup in 1998?", "Who won the cup in 2002?"),
    ("What is new in Python 3.11?", "What is new in Python 3.12?"),
    ("How do I install package foo v1.2.3?", "How do I install package foo v1.2.4?"),
    ("О чём вторая глава «Идиота»?", "О чём третья глава «Идиота»?"),
    ("Who was Louis XVI of France?", "Who was Louis XVIII of France?"),
    ("What is the first law of thermodynamics?", "What is the second law of thermodynamics?"),
    ("What is 2 + 2?", "What is 22?"),
    ("What is 2 + 2?", "What is -2 + 2?"),
    ("What is 12 squared?", "What is 13 squared?"),
    ("What is 2,5 + 1?", "What is 2,6 + 1?"),
    ("Enable http2 on the staging nginx server", "Enable http3 on the staging nginx server"),
    ("Что нового в версии 2.0 ядра Зорвана?", "Что нового в версии 3.0 ядра Зорвана?"),
    ("How did World War I begin?", "How did World War II begin?"),
    ("What is 2 + 2?", "What is 2 * 2?"),
    ("Сколько будет десять минус три?", "Сколько будет десять минус четыре?"),
    ("What is twenty-five plus one?", "What is twenty-six plus one?"),
    ("What is 3²?", "What is 32?"),
    ("What is 1½ + 1?", "What is 11/2 + 1?"),
]


def relevance(home: Home, asked: str, text: str) -> float:
    """Return the relevance to `text` of a journal's only difference, asked as `asked`."""
    from benchmarks.recall_cases import keep

    with Journal(home.prepare().journal) as journal:
        keep(journal, [{"asked": asked, "sounds": "So.", "kind": None}])
        found = search(text, journal, None, NgramEmbedder(), limit=3)
    return found[0].score if found else 0.0


@pytest.mark.parametrize(("one", "other"), [*SAME, *((b, a) for a, b in SAME)])
def test_the_same_numbers_in_digits_or_words_recall_each_other(
    home: Home, settings: Settings, one: str, other: str
) -> None:
    assert relevance(home, one, other) >= settings.recall.floor


@pytest.mark.parametrize(("one", "other"), [*OTHER, *((b, a) for a, b in OTHER)])
def test_different_numbers_recall_nothing(
    home: Home, settings: Settings, one: str, other: str
) -> None:
    assert relevance(home, one, other) < settings.recall.floor


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("twenty three", "23"),
        ("one hundred and five", "105"),
        ("two and three", "2 and 3"),
        ("nineteen hundred", "1900"),
        ("twenty twenty six", "2026"),
        ("two thousand twenty six", "2026"),
        ("one million two hundred thousand", "1200000"),
        ("две тысячи двадцать шестого", "2026"),
        ("сто двадцать три", "123"),
        ("which one is the red one", "which one is the red one"),
        ("один из них", "один из них"),
        ("глава один", "глава 1"),
        ("одна плюс одна", "1 + 1"),
        ("моя семья и мою семью", "моя семья и мою семью"),
        ("six divided by three", "6 / 3"),
        ("five times a day", "5 times a day"),
    ],
)
def test_number_words_are_read_as_digits(text: str, digits: str) -> None:
    assert " ".join(with_digits(text.split())) == digits


def test_additional_numbers_do_not_make_another_question() -> None:
    one, other = numbers("happenings of 1932"), numbers("happenings of may 3, 1932")
    assert not one.differ(other)
    assert not other.differ(one)


def test_a_calculation_needs_the_same_numbers_equally_often() -> None:
    assert numbers("2 + 2").differ(numbers("2 + 3"))
    assert numbers("2 + 2").differ(numbers("2 + 2 + 2"))
    assert numbers("2").differ(numbers("2 + 2"))
    assert not numbers("the sum of 2 and 3").differ(numbers("3 + 2"))


def test_an_embedding_model_does_not_overrule_numbers(home: Home) -> None:
    from benchmarks.recall_cases import keep

    with Journal(home.prepare().journal) as journal:
        keep(journal, [{"asked": "What is 2 + 2?", "sounds": "4.", "kind": None}])
        [item] = journal.differences.all()
    sure = [Recalled(item, 0.99, ())]
    assert _with_numbers("What is 2 + 3?", sure)[0].score < 0.5
    assert _with_numbers("What is two plus two?", sure)[0].score == 0.99


def test_words_and_digits_have_the_same_stems() -> None:
    assert stems("What is two plus three?") == stems("What is 2 + 3?")
    assert stems("the third chapter") == stems("the 3rd chapter")
    assert plain("Двадцать")
    assert stems("двадцать пять") == stems("25")
