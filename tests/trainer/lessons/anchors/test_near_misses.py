"""Near misses swap the entity, ask something else about it, or negate the question."""

from __future__ import annotations

import re

import pytest

from memory.text.stemming import plain
from tests.trainer.lessons.test_rephrase import ASKED
from trainer.lessons.anchors.near_misses import near_misses
from trainer.lessons.entities.finder import entities


def texts(
    asked: str, others: tuple[str, ...] = (), *, count: int = 12, sort: str = ""
) -> list[str]:
    made = near_misses(asked, others, count=count, seed=1)
    return [item.text for item in made if not sort or item.sort == sort]


@pytest.mark.parametrize("asked", ASKED)
def test_near_misses_are_different_questions_and_deterministic(asked: str) -> None:
    near = texts(asked, ("Who wrote Faust?",), count=8)
    assert len(near) == len(set(near)) == 8
    assert plain(asked) not in {plain(text) for text in near}
    assert near == texts(asked, ("Who wrote Faust?",), count=8)


@pytest.mark.parametrize(
    ("asked", "kind", "about"),
    [
        ("Which river contains Charity Creek?", "place", "Charity Creek"),
        ("When was Elizabeth Ann Seton born?", "person", "Elizabeth Ann Seton"),
        ("What is the capital of Zubrowka?", "place", "Zubrowka"),
        ("Who wrote the Blue Book?", "work", "Blue Book"),
        ("How tall is the tower of Nemor?", "modifier", "Nemor"),
        ("When does the bakery close?", "thing", "bakery"),
        ("Is the bridge open?", "thing", "bridge"),
        ("What does the red lamp mean?", "thing", "lamp"),
        ("What is the opposite of loud?", "thing", "loud"),
        ("Who won the 1998 World Cup?", "event", "World Cup"),
        ("When did Finland join NATO?", "organisation", "NATO"),
        ("Which stocks should I buy this week?", "thing", "stocks"),
        ("List three fruits that are rich in vitamin C.", "thing", "fruits"),
        ("I failed my driving test again.", "thing", "test"),
        ("Где живёт мастер Зун?", "person", "Зун"),
        ("Какого цвета дверь?", "thing", "дверь"),
    ],
)
def test_the_entity_of_a_question_and_its_kind_are_found(asked: str, kind: str, about: str) -> None:
    found = entities(asked)[0]
    assert (found.kind, found.text) == (kind, about)
    assert asked[found.start : found.end] == about


@pytest.mark.parametrize(
    "asked", ["Hello!", "Thank you!", "I am sad today.", "2 + 2", "日本の首都は?"]
)
def test_a_message_about_nothing_has_no_entity(asked: str) -> None:
    assert entities(asked) == []


def test_a_clause_is_no_subject_to_ask_about() -> None:
    assert texts("Which stocks should I buy this week?", sort="relation")
    assert not any("are rich" in text for text in texts("Fruits that are rich?", sort="relation"))
    assert texts("Should I buy it this week?", sort="relation") == []


def test_two_of_three_near_misses_swap_the_entity() -> None:
    for asked in ("What is the capital of Zubrowka?", "Who wrote the song of the harbour?"):
        shape, about = asked.rsplit(" ", 1)[0], asked.rsplit(" ", 1)[1].rstrip("?")
        near = texts(asked, count=30)
        assert sum(text.startswith(shape) for text in near) >= 9
        assert sum(about not in text for text in near) >= 19


def test_every_second_near_miss_has_another_wording() -> None:
    near = texts("What is the capital of Zubrowka?", count=30, sort="entity")
    assert all("Zubrowka" not in text for text in near)
    plainly = [re.fullmatch(r"What is the capital of [A-Z][\w ]+\?", text) for text in near]
    assert len(near) // 3 <= sum(found is not None for found in plainly) <= 2 * len(near) // 3


def asks(about: str, near: list[str]) -> bool:
    return any(re.search(rf"\b{about}\b", text) for text in near)


def test_a_swapped_entity_keeps_article_and_number() -> None:
    near = texts("What colour is a zorn?", count=80, sort="entity")
    assert asks("an orange", near)
    assert not asks("a orange", near)
    near = texts("Who won the 1998 World Cup?", count=60, sort="entity")
    assert asks("the 1998 Super Bowl", near)
    assert any(re.fullmatch(r"Who won the (?!1998)\d+ World Cup\?", text) for text in near)


def test_russian_names_keep_their_case() -> None:
    for asked, other in (
        ("Какая столица у Зубровки?", "Франции"),
        ("Кто такая Мирра Полен?", "Ольга Морозова"),
        ("Кто написал «Фауста»?", "Гамлета"),
        ("Как зовут моего кота?", "моего брата"),
        ("Кто написал песню о гавани?", "об озере"),
    ):
        assert asks(other, texts(asked, count=80, sort="entity"))


def test_some_near_misses_ask_something_else_about_the_entity() -> None:
    near = texts("When was Mirra Odell born?", sort="relation")
    assert near
    assert all("Mirra Odell" in text for text in near)
    near = texts("What does the red lamp mean?", sort="relation")
    assert any("the red lamp" in text for text in near)


@pytest.mark.parametrize(
    ("asked", "denied"),
    [
        ("Who wrote the Blue Book?", "Who did not write the Blue Book?"),
        ("Who invented the telephone?", "Who did not invent the telephone?"),
        ("Who composed Carmen?", "Who did not compose Carmen?"),
        ("Who keeps the gate?", "Who does not keep the gate?"),
        ("What is the capital of Peru?", "What is not the capital of Peru?"),
        ("Кто написал песню о гавани?", "Кто не написал песню о гавани?"),
    ],
)
def test_the_negated_question_is_a_near_miss(asked: str, denied: str) -> None:
    assert texts(asked, sort="negation") == [denied]


def test_a_question_with_an_unnatural_negation_has_none() -> None:
    assert texts("When was the tower built?", sort="negation") == []


def test_names_of_the_users_other_questions_are_used() -> None:
    made = near_misses(
        "When was Mirra Odell born?", [], count=8, seed=1, talk=["Where did Sarn Ildo grow up?"]
    )
    assert "When was Sarn Ildo born?" in [item.text for item in made]


def test_a_marked_question_is_never_a_near_miss_of_another() -> None:
    others = tuple(
        f"What is the capital of {name}?" for name in ("France", "Italy", "Spain", "Japan")
    )
    near = texts("What is the capital of Zubrowka?", others)
    assert not {plain(text) for text in others} & {plain(text) for text in near}


@pytest.mark.parametrize(
    ("asked", "without"),
    [
        ("What colour is the sky on Mars?", "What colour is the sky?"),
        ("What is the capital of Zubrowka?", "What is the capital?"),
        ("Какого цвета небо на Марсе?", "Какого цвета небо?"),
        ("In Paris?", ""),
        ("Who is in Paris now?", ""),
        ("Who wrote The Lake of Glass?", ""),
    ],
)
def test_a_name_at_the_end_is_left_out(asked: str, without: str) -> None:
    made = texts(asked)
    if without:
        assert without in made
    else:
        assert not any(asked.startswith(text.rstrip("?")) for text in made)


@pytest.mark.parametrize(
    ("asked", "patterns"),
    [
        (
            "Who wrote The Lake of Glass?",
            [r"The Lake of (?!Glass)[A-Z]\w+", r"The (?!Lake)[A-Z]\w+ of Glass"],
        ),
        ("When was Mirra Odell born?", [r"Mirra (?!Odell)[A-Z]\w+", r"(?!Mirra)[A-Z]\w+ Odell"]),
        (
            "Кто написал «Озеро из стекла»?",
            [r"Озеро из (?!стекла)\w+", r"(?!Озеро)[А-Я]\w+ из стекла"],
        ),
        ("Кто такая Мирра Полен?", [r"Мирра (?!Полен)[А-Я]\w+", r"(?!Мирра)[А-Я]\w+ Полен"]),
    ],
)
def test_names_that_differ_in_one_word_are_near_misses(asked: str, patterns: list[str]) -> None:
    near = texts(asked, count=36, sort="entity")
    for name in patterns:
        assert sum(re.search(name, text) is not None for text in near) >= 2


@pytest.mark.parametrize("asked", ["Who wrote Zenith?", "What is the capital of Zubrowka?"])
def test_a_name_of_one_word_shares_none_with_its_near_misses(asked: str) -> None:
    name = asked.rstrip("?").split()[-1]
    assert not any(name in text for text in texts(asked, count=36, sort="entity"))


def test_what_else_was_done_with_a_thing_is_a_near_miss_of_who_made_it() -> None:
    assert any(
        re.match(r"Who (?!wrote)\w+ The Lake of Glass\?", x)
        for x in texts("Who wrote The Lake of Glass?")
    )
    assert any(
        re.match(r"Кто (?!написал)\w+ «Фауста»\?", x) for x in texts("Кто написал «Фауста»?")
    )


@pytest.mark.parametrize("asked", ["Who is in Paris?", "Who keeps the gate?", "What made you sad?"])
def test_other_questions_have_none_with_another_verb(asked: str) -> None:
    assert not any(re.search("painted|sold|praised", text) for text in texts(asked, count=36))
