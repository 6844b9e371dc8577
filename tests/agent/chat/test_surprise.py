"""Suggested moments: relative to the user's own turns, rare, and never a mark by themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.chat.chat import Chat
from agent.chat.graph import Finished
from agent.chat.surprise import SILENCE, SLIP, SMOOTH, hint_for, suggest
from memory.difference import Difference, Moment, Turn, now
from memory.settings.paths import Home
from memory.settings.settings import read_settings


def talk(count: int, *, thread: str = "main", start: int = 0) -> list[Turn]:
    """An ordinary conversation: replies of about 1.0 nats per token, messages of about 3.0."""
    began = now()
    return [
        Turn(
            id=f"{thread}-{number}",
            thread=thread,
            at=began + timedelta(minutes=number),
            asked="and what about that one",
            replied="well",
            model="m",
            surprisal=(1.0 + 0.1 * (number % 5), 1.2, 0.9 + 0.1 * (number % 3)),
            asked_surprisal=3.0 + 0.2 * (number % 4),
        )
        for number in range(start, start + count)
    ]


def unexpected(turns: list[Turn], at: int, nats: float = 6.5) -> list[Turn]:
    """Make the reply before `at` fluent and the message at `at` unexpected."""
    turns = list(turns)
    turns[at - 1] = replace(turns[at - 1], surprisal=(0.2, 0.1, 0.2))
    turns[at] = replace(turns[at], asked_surprisal=nats)
    return turns


def test_an_ordinary_conversation_gives_no_hint() -> None:
    assert suggest(talk(60)) == ()


def test_a_smooth_reply_with_an_unexpected_answer_is_suggested() -> None:
    turns = unexpected(talk(30), 20)
    (hint,) = suggest(turns)
    assert hint.turn.id == "main-19"
    assert hint.reason == SMOOTH
    assert hint.answer == 6.5
    assert hint.reply == pytest.approx(0.167, abs=1e-3)
    assert hint.score > 2.5


def test_an_unexpected_answer_to_a_surprising_reply_is_not_suggested() -> None:
    turns = unexpected(talk(30), 20)
    turns[19] = replace(turns[19], surprisal=(1.6, 1.5, 1.7))
    assert suggest(turns) == ()


def test_a_slip_suggests_its_reply() -> None:
    turns = talk(30)
    turns[20] = replace(turns[20], surprisal=(1.0, 9.0, 1.0))
    (hint,) = suggest(turns)
    assert hint.turn.id == "main-20"
    assert hint.reason == SLIP
    assert hint.answer is None


def test_surprisal_is_relative_to_the_user() -> None:
    vivid = [replace(turn, asked_surprisal=6.0 + 0.2 * (i % 4)) for i, turn in enumerate(talk(30))]
    assert suggest(unexpected(vivid, 20, 6.5)) == ()
    # Another model has its own scale, too: its first turns are not judged by the old one.
    other = [replace(turn, model="n") for turn in unexpected(talk(30), 3)[:6]]
    assert suggest([*talk(30), *other]) == ()


def test_the_first_turns_first_messages_and_single_words_are_not_judged() -> None:
    assert suggest(unexpected(talk(30), 5)) == ()
    turns = unexpected(talk(30), 20)
    assert suggest([*turns[:20], replace(turns[20], asked="No!")]) == ()
    alone = [replace(turn, thread=f"t{i}") for i, turn in enumerate(turns)]
    assert suggest(alone) == ()


def test_no_hint_follows_soon_after_another() -> None:
    turns = talk(60)
    for at in (20, 24, 28, 20 + SILENCE + 2):
        turns = unexpected(turns, at)
    assert [hint.turn.id for hint in suggest(turns)] == ["main-19", f"main-{20 + SILENCE + 1}"]


def test_marked_turns_are_not_suggested() -> None:
    turns = unexpected(talk(30), 20)
    mark = Difference("d", "main-19", "main", now(), Moment.SURPRISE, "a", "b")
    assert suggest(turns, [mark]) == ()


def test_the_chat_gives_a_hint_once() -> None:
    turns = unexpected(talk(30), 20)
    said = [hint_for(turns[n], suggest(turns[: n + 1]), turns[: n + 1]) for n in range(len(turns))]
    assert [n for n, hint in enumerate(said) if hint] == [20]


def test_turns_without_surprisal_are_skipped() -> None:
    old = [replace(turn, asked_surprisal=None, surprisal=()) for turn in talk(20)]
    assert suggest([*old, *unexpected(talk(30, start=20), 20)])[0].turn.id == "main-39"


def test_the_starter_finds_grief_among_sums_surprising(home: Home) -> None:
    quick = read_settings(
        home, {"memory": {"dense": False}, "sampling": {"temperature": 0.0, "max_tokens": 40}}
    )
    asked = [
        "What is 2 + 3?", "What is 7 + 1?", "What is the capital of France?", "What is 4 + 4?",
        "What is the capital of Italy?", "Hello, how are you?", "What is 9 - 3?",
        "What is the capital of Spain?", "What is 3 + 6?", "What colour is grass?",
        "What is 5 + 5?", "What is 8 - 2?",
        "No, you did not hear my grief about the dog at all", "What is 1 + 1?",
    ]  # fmt: skip
    turns: list[Turn] = []
    with Chat.open(home, quick, thread="t", dense=False) as chat:
        for text in asked:
            *_, done = chat.say(text)
            assert isinstance(done, Finished)
            turns.append(done.turn)
    (hint,) = suggest(turns)
    assert hint.turn.asked == "What is 8 - 2?"
    assert hint.reason == SMOOTH
