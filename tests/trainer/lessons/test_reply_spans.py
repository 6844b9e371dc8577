"""A mark on a span replaces and contrasts only the span; questions may depend on their context."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.llama.engine import Engine
from memory.difference import Difference, Message, Moment, Span
from tests.support.values import difference
from trainer.lessons.reply_spans import (
    contrasted_tokens,
    expected_reply,
    replaces_span,
    token_range,
)
from trainer.lessons.self_contained import is_self_contained

REPLY = "The capital of Zubrowka is Lutz."


def span_mark(quote: str, sounds: str) -> Difference:
    start = REPLY.index(quote)
    span = Span(start, start + len(quote), quote)
    return difference("What?", sounds, replied=REPLY, span=span)


@pytest.mark.parametrize(
    ("quote", "sounds", "expected"),
    [
        ("Lutz", "Nebelsbad", "The capital of Zubrowka is Nebelsbad."),
        ("Lutz", "The capital of Zubrowka is Nebelsbad.", "The capital of Zubrowka is Nebelsbad."),
        ("Lutz", "It is called Nebelsbad.", "It is called Nebelsbad."),
        ("The capital", "The seat", "The seat of Zubrowka is Lutz."),
        (REPLY, "Nebelsbad.", "Nebelsbad."),
    ],
)
def test_a_better_answer_replaces_the_span_unless_it_is_a_complete_reply(
    quote: str, sounds: str, expected: str
) -> None:
    assert expected_reply(span_mark(quote, sounds)) == expected


def test_two_spans_of_one_reply_are_corrected_together_unless_they_overlap() -> None:
    one = span_mark("Zubrowka", "Freedonia")
    two = span_mark("Lutz", "Glorietta")
    wide = span_mark("Zubrowka is Lutz", "Nothing at all")
    assert expected_reply(one, [two]) == "The capital of Freedonia is Glorietta."
    assert expected_reply(one, [wide]) == "The capital of Freedonia is Lutz."


def test_a_hold_keeps_the_reply_and_a_bare_mark_expects_none() -> None:
    assert expected_reply(difference("Hi", None, moment=Moment.HOLD, replied="Yes.")) == "Yes."
    assert expected_reply(difference("Hi", None)) is None
    assert not replaces_span(difference("Hi", "Yes."))


def test_the_contrast_covers_only_the_tokens_that_differ() -> None:
    assert contrasted_tokens([1, 2, 3, 9], [1, 5, 6, 3, 9]) == ((1, 2), (1, 3))
    assert contrasted_tokens([1, 2, 9], [1, 9]) == ((1, 2), (1, 2))  # the token after the cut
    assert contrasted_tokens([1, 2, 9], [4, 5, 6, 9], (1, 2)) == ((0, 2), (1, 2))


@pytest.mark.parametrize("reply", [REPLY, f"  {REPLY}\n", "Столица Зубровки — Lutz, кажется. 🙂"])
def test_a_span_finds_its_tokens(starter: Path, reply: str) -> None:
    with Engine.open(starter) as engine:
        start = reply.index("Lutz")
        found = token_range(engine.tokenize, reply, Span(start, start + 4, "Lutz"))
        assert found is not None
        tokens = engine.tokenize(reply.strip())
        assert engine.text(tokens[slice(*found)]).strip(" ,.") == "Lutz"


BEFORE = (Message("user", "Tell me about Lutz."), Message("assistant", "A town."))


@pytest.mark.parametrize(
    "asked", ["Who wrote the Blue Book?", "Как сварить рис?", "What is the capital of Zubrowka?"]
)
def test_a_complete_question_is_self_contained(asked: str) -> None:
    assert is_self_contained(asked, BEFORE)


@pytest.mark.parametrize(
    "asked",
    ["And in winter?", "Who wrote it?", "Shorter, please.", "А её автор?", "Why?", "Ok", "?"],
)
def test_a_context_dependent_question_is_not_self_contained(asked: str) -> None:
    assert not is_self_contained(asked, BEFORE)
    assert is_self_contained(asked, ())
    assert is_self_contained(asked, (Message("system", "Be brief."),))
