"""The marks of the learning benchmark are valid: none contradicts another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from agent.llama.engine import Engine
from agent.models.served_model import STARTER
from benchmarks.starter_marks import Mark, asker, marks, unrelated
from benchmarks.themes import DEV
from memory.difference import Moment
from memory.text.stemming import plain
from trainer.lessons import rephrase
from trainer.lessons.anchors.base_answers import prompts


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[[str], str]]:
    with Engine.open(STARTER) as engine:
        yield asker(engine)


@pytest.fixture(scope="module", params=(0, DEV))
def drawn(request: pytest.FixtureRequest, ask: Callable[[str], str]) -> list[Mark]:
    return marks(200, request.param, ask)


def test_the_marks_cover_both_languages_and_all_themes(drawn: list[Mark]) -> None:
    assert Counter(mark.language for mark in drawn) == {"en": 100, "ru": 100}
    assert {mark.theme for mark in drawn[:40]} == {
        "fact",
        "commonplace",
        "tone",
        "override",
        "hold",
    }
    assert any(mark.difference.span for mark in drawn[:50])
    assert any(mark.difference.contrast.missed for mark in drawn[:50])


def test_questions_and_wordings_are_unique(drawn: list[Mark]) -> None:
    texts = [text for mark in drawn for text in (mark.difference.asked, *mark.rephrasings)]
    assert max(Counter(plain(text) for text in texts).values()) == 1


def test_the_unchanged_questions_are_not_marked(drawn: list[Mark]) -> None:
    taught = {plain(t) for mark in drawn for t in (mark.difference.asked, *mark.rephrasings)}
    assert not [text for mark in drawn for text in mark.near if plain(text) in taught]
    assert not [text for dev in (0, 1) for text in unrelated(bool(dev)) if plain(text) in taught]


def test_every_mark_differs_from_the_base_answer(drawn: list[Mark]) -> None:
    for mark in drawn:
        held = mark.difference.moment is Moment.HOLD
        assert mark.difference.teaches
        assert (mark.expected == mark.difference.replied) == held


def test_every_span_quotes_its_reply(drawn: list[Mark]) -> None:
    for difference in (mark.difference for mark in drawn if mark.difference.span):
        span = difference.span
        assert span is not None
        assert difference.replied[span.start : span.end] == span.quote != ""


def test_a_smaller_set_of_marks_is_a_prefix_of_a_larger_one(ask: Callable[[str], str]) -> None:
    assert marks(30, 1, ask)[:10] == marks(10, 1, ask)


@pytest.mark.slow
def test_the_reported_questions_are_neither_training_nor_development_data(
    ask: Callable[[str], str],
) -> None:
    ours, theirs = marks(200, 0, ask), marks(200, DEV, ask)
    for mark in ours:
        made = rephrase.rephrase(mark.difference.asked)
        assert not {*made.training} & {*mark.framed, *mark.reworded}
        assert len(mark.framed) == 2
    shipped = {line for half in prompts() for line in half}
    assert len(set(unrelated(False))) == len(set(unrelated(True))) == 90
    assert not {*unrelated(False), *unrelated(True)} & shipped
    assert not {*unrelated(False)} & {*unrelated(True)}
    heads = [
        {text[:8] for m in some for text in m.framed if ":" in text} for some in (ours, theirs)
    ]
    assert not heads[0] & heads[1]
