"""A lesson is asked in its context and alone, a span is contrasted alone, the error is named."""

from __future__ import annotations

import json

import pytest

from agent.llama.engine import Engine
from agent.prompt.prompt import compose
from memory.difference import Message, Span
from memory.settings.paths import Home
from memory.text.stemming import plain
from tests.support.values import difference, quick_settings
from trainer.lessons.anchors.choose_unchanged_prompts import unmarked_questions
from trainer.lessons.dataset_export import rows
from trainer.lessons.lesson import Lesson
from trainer.lessons.lessons import make_lessons, samples_of

BEFORE = (Message("user", "Tell me of Lutz."), Message("assistant", "A town on a hill."))


@pytest.fixture
def taught(engine: Engine, home: Home) -> dict[str, Lesson]:
    reply = "The capital is Lutz."
    marks = [
        difference("What is the capital of Zubrowka?", "Nebelsbad.", before=BEFORE),
        difference("And in winter?", "Cold.", before=BEFORE),
        difference(
            "Name the capital.",
            "Nebelsbad",
            replied=reply,
            span=Span(15, 19, "Lutz"),
            missed="a name",
        ),
    ]
    lessons, superseded, left_out = make_lessons(engine, marks, quick_settings(home))
    assert not superseded
    assert not left_out
    names = ("talk", "alone", "leaning", "span", "naming")
    return dict(zip(names, lessons, strict=True))


def test_a_lesson_with_context_is_asked_with_and_without_it(
    taught: dict[str, Lesson], engine: Engine
) -> None:
    asked = Message("user", "What is the capital of Zubrowka?")
    assert taught["talk"].in_talk
    assert not taught["alone"].in_talk
    assert taught["talk"].question.prompt == compose(engine, [*BEFORE, asked]).tokens
    assert taught["alone"].question.prompt == compose(engine, [asked]).tokens
    assert taught["alone"].held_out
    assert not taught["talk"].held_out


def test_a_context_dependent_question_is_asked_only_in_context(taught: dict[str, Lesson]) -> None:
    lesson = taught["leaning"]
    assert lesson.in_talk
    assert lesson.held_out
    assert all(question.before == BEFORE for question in lesson.held_out)


def test_replacing_a_span_keeps_the_rest_of_the_reply(
    taught: dict[str, Lesson], engine: Engine
) -> None:
    lesson = taught["span"]
    assert lesson.expected == "The capital is Nebelsbad."
    assert lesson.rejected
    assert lesson.parts
    ours, theirs = lesson.parts
    assert engine.text(lesson.chosen[slice(*ours)]) == "Nebelsbad"
    assert engine.text(lesson.rejected[slice(*theirs)]) == "Lutz"
    (sample,) = [s for s in samples_of([lesson], []) if s.rejected]
    assert engine.text(sample.tokens[slice(*sample.parts[:2])]) == "Nebelsbad"
    assert engine.text(sample.rejected[slice(*sample.parts[2:])]) == "Lutz"


def test_the_error_is_also_asked_about_right_after_the_reply(taught: dict[str, Lesson]) -> None:
    lesson = taught["naming"]
    assert lesson.expected.splitlines() == [
        "Not distinguished: a name",
        "It should sound: Nebelsbad",
    ]
    at_once = lesson.rephrasings[-1]
    assert at_once.text == 'What was not distinguished in "Lutz"?'
    assert at_once.before[-1] == Message("assistant", "The capital is Lutz.")


def test_an_overlong_conversation_loses_its_oldest_part_and_an_overlong_question_is_left_out(
    engine: Engine, home: Home
) -> None:
    long = tuple(Message(role, "x" * 200) for role in ("user", "assistant")) * 3
    marks = [
        difference("What is the capital of Zubrowka?", "Lutz.", before=long),
        difference("y" * 600, "Lutz."),
    ]
    lessons, _, left_out = make_lessons(engine, marks, quick_settings(home))
    assert lessons[0].question.dropped >= 2
    assert list(left_out) == [marks[1].id]
    assert "context" in str(left_out[marks[1].id])


@pytest.mark.parametrize("kind", ["trl", "sharegpt", "jsonl"])
def test_lessons_are_exported_for_other_trainers(engine: Engine, home: Home, kind: str) -> None:
    mark = difference("What is a glyph?", "A shape.", replied="No.", before=BEFORE)
    lessons, _, _ = make_lessons(engine, [mark], quick_settings(home))
    found = [json.loads(json.dumps(row)) for row in rows(kind, lessons, [mark], "Be brief.")]
    assert len(found) == sum(1 + len(lesson.rephrasings) for lesson in lessons)
    held_out = {question.text for lesson in lessons for question in lesson.held_out}
    assert not any(text in json.dumps(found) for text in held_out)
    first = found[0]
    if kind == "trl":
        assert first["prompt"][0] == {"role": "system", "content": "Be brief."}
        assert first["prompt"][-1] == {"role": "user", "content": "What is a glyph?"}
        assert first["chosen"] == [{"role": "assistant", "content": "A shape."}]
        assert first["rejected"] == [{"role": "assistant", "content": "No."}]
        assert set(found[1]) == {"prompt", "completion"}
    elif kind == "sharegpt":
        assert [turn["from"] for turn in first["conversations"]] == [
            "system", "human", "gpt", "human", "gpt",
        ]  # fmt: skip
    else:
        assert engine.text(first["chosen_tokens"]) == "A shape."


def test_only_unmarked_questions_of_the_user_are_anchors() -> None:
    from datetime import UTC, datetime, timedelta

    from memory.difference import Turn

    start = datetime(2026, 11, 1, tzinfo=UTC)
    turns = [
        Turn(str(number), "t", start + timedelta(minutes=number), asked, "Yes.", "m")
        for number, asked in enumerate(["Old?", "Marked?", "Same?", "same?", "z" * 500, "New?"])
    ]
    mark = difference("Marked?", "No.")
    assert unmarked_questions(turns, [mark]) == ["New?", "same?", "Old?"]


def test_a_wording_with_two_different_answers_is_trained_for_neither(
    engine: Engine, home: Home
) -> None:
    marks = [
        difference("Who founded the Blue Library?", "Mirra."),
        difference("Who directs the Blue Library?", "Lutz."),
    ]
    lessons, superseded, _ = make_lessons(engine, marks, quick_settings(home))
    assert not superseded
    one, other = ({plain(q.text) for q in lesson.rephrasings} for lesson in lessons)
    assert one
    assert other
    assert not one & other
