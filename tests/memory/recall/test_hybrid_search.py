"""How recall compares words and orders its results."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from memory.difference import Contrast, Difference, Moment, new_id, now
from memory.journal.journal import Journal
from memory.recall.embedder import NgramEmbedder
from memory.recall.hybrid_search import search
from memory.settings.paths import Home
from memory.text.stemming import alike, stems, weight, words


@pytest.fixture
def journal(home: Home) -> Iterator[Journal]:
    with Journal(home.journal) as journal:
        yield journal


def keep(journal: Journal, asked: str, sounds: str, days_ago: float = 0) -> None:
    journal.differences.add(
        Difference(
            id=new_id(), turn=new_id(), thread="t", at=now() - timedelta(days=days_ago),
            moment=Moment.ERROR, asked=asked, replied="?", kind=None,
            contrast=Contrast(sounds=sounds), model="m",
        )
    )  # fmt: skip


def told(journal: Journal, text: str) -> list[str | None]:
    found = search(text, journal, None, NgramEmbedder(), limit=3)
    return [item.difference.contrast.sounds for item in found]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("zubrowka", "zubrwoka"),
        ("acordion", "accordion"),
        ("captial", "capit"),
        ("соседк", "соседкин"),
        ("кеслер", "кесслер"),
    ],
)
def test_a_typo_or_another_form_is_the_same_word(one: str, other: str) -> None:
    assert 0.5 < alike(one, other) == alike(other, one) < 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("1932", "1933"), ("c3po5", "c3po6"), ("cat", "car"), ("franc", "zubrowka"), ("кит", "кот")],
)
def test_numbers_short_words_and_unrelated_words_do_not_match(one: str, other: str) -> None:
    assert alike(one, other) == 0


def test_a_rare_word_outweighs_the_phrasing_of_a_question() -> None:
    [capital, zubrowka] = stems("What is the capital of Zubrowka?")
    assert weight(zubrowka) == 1 > weight(capital) > weight(stems("explain")[0])
    [столица, зубровка] = stems("Какая столица у Зубровки?")
    assert weight(зубровка) == 1 > weight(столица) > weight(stems("объясни")[0])


def test_a_hyphen_joins_words_and_is_a_minus_before_a_number() -> None:
    assert words("long-term plan: 2-3 or -5, COVID-19") == (
        ["long", "term", "plan", "2", "-", "3", "or", "-", "5", "covid", "19"]
    )


def test_apostrophes_do_not_split_words() -> None:
    assert words("Grandpa’s cat won't eat; what's O'Brien saying?") == (
        ["grandpa", "cat", "wont", "eat", "what", "obrien", "saying"]
    )


def test_a_text_in_two_scripts_is_stemmed_in_both() -> None:
    assert stems("деплоим containers на серверах") == stems("деплоим container на серверах")


def test_the_newer_difference_comes_first_among_near_equals(journal: Journal) -> None:
    keep(journal, "Who is Zorvane?", "A singer.", days_ago=1)
    keep(journal, "Where is Zorvane?", "In Lutz.", days_ago=0)
    keep(journal, "Why Zorvane?", "Why not.", days_ago=400)
    assert told(journal, "zorvane") == ["In Lutz.", "A singer.", "Why not."]


def test_near_duplicate_marks_are_shown_once(journal: Journal) -> None:
    keep(journal, "What is the capital of Zubrowka?", "Lutz.", days_ago=2)
    keep(journal, "the capital of Zubrowka", "Lutz.", days_ago=1)
    keep(journal, "Where is the capital of Zubrowka?", "In the north.")
    assert sorted(map(str, told(journal, "zubrowka capital"))) == ["In the north.", "Lutz."]


def test_keyword_search_finds_a_typo_in_any_journal(journal: Journal) -> None:
    for number in range(50):
        keep(journal, f"zunder zumba zulu {number}", "no")
    keep(journal, "What is the capital of Zubrowka?", "Lutz.")
    assert told(journal, "zubrwoka")[0] == "Lutz."


def test_several_differences_are_found_by_full_ids_in_order(journal: Journal) -> None:
    keep(journal, "one", "1")
    keep(journal, "two", "2")
    first, second = (item.id for item in journal.differences.all())
    assert [item.id for item in journal.differences.by_ids([second, "missing", first])] == [
        second,
        first,
    ]
    assert journal.differences.by_ids([first[:8]]) == journal.differences.by_ids([]) == []
