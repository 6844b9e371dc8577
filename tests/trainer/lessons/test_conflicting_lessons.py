"""Two differences that contradict each other are found; the newer counts unless the user chose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memory.difference import Message, Span
from tests.support.values import difference
from trainer.lessons.conflicting_lessons import current_differences, find_conflicts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the capital of Zubrowka?", "what is the capital of  zubrowka"),
        ("What is the capital of Zubrowka?", "Tell me the capital of Zubrowka."),
        (
            "What is the capital of Zubrowka?",
            "I would like to know: what is the capital of Zubrowka?",
        ),
        ("Who founded the Blue Library?", "Who set up the Blue Library?"),
        ("Какая столица у Зубровки?", "Назови столицу Зубровки."),
    ],
)
def test_one_question_in_two_wordings_with_two_answers_is_a_conflict(one: str, other: str) -> None:
    old, new = difference(one, "Lutz."), difference(other, "Nebelsbad.")
    (conflict,) = find_conflicts([old, new])
    assert (conflict.older, conflict.newer) == (old.id, new.id)
    assert "the newer one is used" in str(conflict.sentence)
    assert current_differences([old, new]) == ([new], {old.id: new.id})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the capital of Zubrowka?", "What is the capital of Freedonia?"),
        ("What is the capital of Zubrowka?", "What is the flag of Zubrowka?"),
        ("Who founded the Blue Library?", "When was the Blue Library founded?"),
        ("What is 2 + 3?", "What is 3 + 4?"),
        ("Which mushrooms can I eat?", "Which mushrooms can I not eat?"),
        ("Кто такая Мирра?", "Кто такой Лют?"),
        ("What is C?", "What is C++?"),
        ("What is new in Python 3.11?", "What is new in Python 3.12?"),
        ("Is Lutz older than Nebelsbad?", "Is Nebelsbad older than Lutz?"),
    ],
)
def test_different_questions_do_not_conflict(one: str, other: str) -> None:
    assert find_conflicts([difference(one, "Lutz."), difference(other, "Nebelsbad.")]) == ()


def test_the_same_answer_twice_is_not_a_conflict_and_trained_once() -> None:
    old, new = difference("Hello!", "Come in."), difference("hello", "Come in.")
    assert find_conflicts([old, new]) == ()
    assert current_differences([old, new]) == ([new], {old.id: new.id})


def test_repeated_marks_followed_by_another_answer_leave_only_the_newest() -> None:
    once, twice = difference("Hello!", "Come in."), difference("Hello!", "Come in.")
    last = difference("Hello!", "Go away.")
    assert {conflict.older for conflict in find_conflicts([once, twice, last])} == {
        once.id, twice.id,
    }  # fmt: skip
    assert current_differences([once, twice, last]) == (
        [last], {once.id: last.id, twice.id: last.id},
    )  # fmt: skip


def test_a_mark_without_a_better_answer_does_not_hide_a_conflict() -> None:
    old, new = difference("Hello!", "Come in."), difference("Hello!", "Go away.")
    named = difference("Hello!", None, missed="the hour")
    (conflict,) = find_conflicts([old, named, new])
    assert (conflict.older, conflict.newer) == (old.id, new.id)
    assert current_differences([old, named, new]) == ([named, new], {old.id: new.id})


def test_conflicts_are_found_among_all_wordings_of_a_question() -> None:
    asked = [
        "What is the capital of Zubrowka?",
        "  what is  the CAPITAL of Zubrowka",
        "What is the capital, of Zubrowka ?!",
        "Tell me the capital of Zubrowka.",
        "capital of Zubrowka",
        "I would like to know: what is the capital of Zubrowka?",
    ]
    marks = [difference(text, "Lutz.") for text in asked]
    other = difference("Zubrowka's capital is what?", None, missed="the country")
    last = difference("What's the capital of Zubrowka?", "Nebelsbad.")
    kept, replaced = current_differences([*marks, other, last])
    assert kept == [other, last]
    assert replaced == {mark.id: last.id for mark in marks}
    # The newest answer wins even if it equals the first one.
    again = difference(asked[3], "Lutz.")
    kept, replaced = current_differences([*marks, other, last, again])
    assert last.id in replaced
    assert last not in kept
    assert again in kept
    assert find_conflicts([*marks, last, again])[0].older == last.id


def test_answers_that_differ_only_in_case_conflict() -> None:
    old, new = difference("Hello!", "come in."), difference("hello", "Come in.")
    assert current_differences([old, new]) == ([new], {old.id: new.id})


def test_two_descriptions_of_an_error_drop_the_older_description_and_keep_its_reply() -> None:
    old = difference("Hello!", "Come in.", missed="the hour")
    new = difference("Hello!", None, missed="the guest")
    (conflict,) = find_conflicts([old, new])
    assert "differently" in str(conflict.sentence)
    kept, replaced = current_differences([old, new])
    assert replaced == {}
    assert [item.id for item in kept] == [old.id, new.id]
    assert kept[0].contrast.sounds == "Come in."
    assert kept[0].contrast.missed is None


def test_a_chosen_older_mark_is_kept() -> None:
    old, new = difference("Hello!", "Come in."), difference("Hello!", "Go away.")
    chosen = replace(new, superseded_by=old.id)
    assert find_conflicts([old, chosen]) == ()
    assert current_differences([old, chosen])[0] == [old]


def test_a_chain_of_conflicts_ends_at_the_newest() -> None:
    marks = [difference("Hello!", f"{number}.") for number in range(4)]
    kept, superseded = current_differences(marks)
    assert kept == [marks[3]]
    assert superseded == {mark.id: marks[3].id for mark in marks[:3]}


def test_when_all_marks_conflict_the_newest_of_each_question_remains() -> None:
    marks = [difference(f"What is {name}?", text) for text in "ab" for name in ("Glyph", "Zorn")]
    assert current_differences(marks)[0] == marks[2:]


def test_the_same_question_in_two_conversations_does_not_conflict() -> None:
    def talk(about: str) -> tuple[Message, ...]:
        return (Message("user", f"Tell me about {about}."), Message("assistant", "Well."))

    one = difference("And in winter?", "Cold.", before=talk("Lutz"))
    other = difference("And in winter?", "Mild.", before=talk("Nice"))
    assert find_conflicts([one, other]) == ()
    assert find_conflicts([one, replace(other, before=one.before)])


def test_two_spans_of_one_reply_conflict_only_if_they_overlap() -> None:
    reply = "Lutz is in Zubrowka."
    one = difference("Where?", "Glorietta", replied=reply, span=Span(0, 4, "Lutz"))
    far = difference("Where?", "Freedonia", replied=reply, span=Span(11, 19, "Zubrowka"))
    near = difference("Where?", "Not Lutz", replied=reply, span=Span(0, 7, "Lutz is"))
    assert find_conflicts([one, replace(far, turn=one.turn)]) == ()
    assert find_conflicts([one, replace(near, turn=one.turn)])
