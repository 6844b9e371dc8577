"""Recall on the held-out half of our own set: the right difference, and nothing unnecessary."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.recall import Hits, figures
from benchmarks.recall_cases import LANGUAGES, RecallCase, cases, keep, known
from memory.journal.journal import Journal
from memory.recall.embedder import NgramEmbedder
from memory.recall.hybrid_search import search
from memory.settings.paths import Home
from memory.settings.settings import Settings


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    with Journal(tmp_path_factory.mktemp("recall") / "journal.sqlite") as journal:
        keep(journal)
        yield journal


@pytest.fixture(scope="module")
def held_out(journal: Journal) -> list[tuple[RecallCase, Hits]]:
    embedder = NgramEmbedder()
    return [
        (case, [(item.difference.asked, item.score) for item in found])
        for case in cases()
        if not case.tuning
        for found in [search(case.message, journal, None, embedder, limit=3)]
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_right_difference_comes_first_in_either_language(
    held_out: list[tuple[RecallCase, Hits]], settings: Settings, language: str
) -> None:
    assert figures(held_out, settings.recall.floor)[language]["recall@1"] >= 0.90


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unrelated_message_recalls_nothing_in_either_language(
    held_out: list[tuple[RecallCase, Hits]], settings: Settings, language: str
) -> None:
    assert figures(held_out, settings.recall.floor)[language]["left alone"] >= 0.94


def test_the_benchmark_set_has_the_stated_size() -> None:
    every = known()
    assert len(every) >= 150
    assert len({item["asked"] for item in every}) == len(every)
    assert all(item["sounds"] and item["kind"] and item["questions"] for item in every)
    assert sum(case.asked is None for case in cases()) >= 100


def one(home: Home, asked: str, text: str) -> float:
    """Return the relevance to `text` of a journal's only difference, asked as `asked`."""
    with Journal(home.journal) as journal:
        keep(journal, [{"asked": asked, "sounds": "So.", "kind": None}])
        found = search(text, journal, None, NgramEmbedder(), limit=3)
    return found[0].score if found else 0.0


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("What is the capital of Zubrowka?", "zubrowka capital?"),
        ("What is the capital of Zubrowka?", "what is the captial of Zubrwoka"),
        ("Where do we keep the accordion?", "wheres the acordion kept"),
        ("Как зовут попугая Аркадия?", "имя попугая у Аркадя"),
        ("Настрой nginx для staging", "nginx на стейдж: настройка nginx для staging"),
        ("What is 2 + 3?", "2+3"),
        ("How do I write a for loop in C++?", "c++ for loop"),
    ],
)
def test_synonyms_typos_and_endings_still_recall_the_only_difference(
    home: Home, settings: Settings, asked: str, text: str
) -> None:
    assert one(home, asked, text) >= settings.recall.floor


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("What is the capital of Zubrowka?", "What is the capital of Portugal?"),
        ("What is 2 + 3?", "What is 2 + 4?"),
        ("What is 2 + 3?", "What is 2 - 3?"),
        ("Calculate 17 * 23", "Calculate 17 * 24"),
        ("Happenings of 1932 in Lutz", "Happenings of 1933 in Lutz"),
        ("Как зовут попугая Аркадия?", "Как зовут черепаху Матвея?"),
        ("How do I prune roses?", "How do I repot orchids?"),
    ],
)
def test_shared_phrasing_or_another_number_recalls_nothing(
    home: Home, settings: Settings, asked: str, text: str
) -> None:
    assert one(home, asked, text) < settings.recall.floor
