"""A chat whose thread another process continues: what is marked, and what comes next."""

from __future__ import annotations

import pytest

from agent.chat.chat import Chat
from agent.chat.context_usage import measure_context
from agent.chat.marking.forget import forget
from agent.chat.sessions import delete, rename
from memory.difference import Turn, new_id, now
from memory.errors import MarkError
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings


def continued(home: Home, quick: Settings, asked: str = "unseen") -> Turn:
    """Add a turn to the thread from another chat."""
    with Chat.open(home, quick, thread="trip") as other:
        list(other.say(asked))
        return other.thread.turns()[-1]


def test_a_mark_belongs_to_the_last_reply_shown_here(
    home: Home, quick: Settings, chat: Chat
) -> None:
    list(chat.say("seen"))
    continued(home, quick)
    kept = chat.marks.add(MarkRequest("error", sounds="Lutz.")).difference
    assert kept.asked == "seen"
    assert kept.turn == chat.thread.position


def test_the_next_message_follows_the_last_reply_shown_here(
    home: Home, quick: Settings, chat: Chat
) -> None:
    list(chat.say("seen"))
    other = continued(home, quick)
    assert measure_context(chat).messages == 2  # what /context shows
    list(chat.say("next"))
    assert [turn.asked for turn in chat.thread.turns()] == ["seen", "next"]
    assert chat.journal.turns.get(other.id) == other  # nothing is lost
    assert {turn.asked for turn in chat.journal.turns.in_thread("trip")} == {
        "seen",
        "unseen",
        "next",
    }


def test_a_chat_that_showed_nothing_follows_turns_added_elsewhere(
    home: Home, quick: Settings, chat: Chat
) -> None:
    continued(home, quick, "first")
    list(chat.say("second"))
    assert [turn.asked for turn in chat.thread.turns()] == ["first", "second"]


def test_a_continuation_elsewhere_is_reported_once(home: Home, quick: Settings, chat: Chat) -> None:
    assert chat.thread.continued_elsewhere() is None
    list(chat.say("seen"))
    assert chat.thread.continued_elsewhere() is None
    continued(home, quick)
    assert "was continued elsewhere" in (chat.thread.continued_elsewhere() or "")
    assert chat.thread.continued_elsewhere() is None
    continued(home, quick)
    assert chat.thread.continued_elsewhere() is not None


def test_a_renamed_thread_keeps_its_position(home: Home, quick: Settings, chat: Chat) -> None:
    list(chat.say("seen"))
    continued(home, quick)
    with Memory.open(home, quick, dense=False) as other:
        rename(home, other.journal, "trip", "sea")
    assert "was renamed to 'sea'" in (chat.thread.sync() or "")
    assert chat.marks.add(MarkRequest("surprise")).difference.asked == "seen"
    chat.thread.rename("sea", "hills")
    assert chat.marks.add(MarkRequest("surprise")).difference.asked == "seen"


def test_a_deleted_thread_has_no_reply_to_mark(home: Home, quick: Settings, chat: Chat) -> None:
    list(chat.say("seen"))
    with Memory.open(home, quick, dense=False) as other:
        delete(home, other, "trip")
    assert chat.thread.sync() is not None
    with pytest.raises(MarkError, match="no reply to mark"):
        chat.marks.add(MarkRequest("surprise"))


def test_forgetting_the_last_turn_moves_to_the_one_before(
    home: Home, quick: Settings, chat: Chat
) -> None:
    list(chat.say("one"))
    list(chat.say("two"))
    continued(home, quick)
    chat.marks.forget(chat.marks.add(MarkRequest("surprise")).difference.id)
    assert chat.marks.add(MarkRequest("surprise")).difference.asked == "one"


def test_a_turn_forgotten_elsewhere_is_reported_and_not_marked(
    home: Home, quick: Settings, chat: Chat
) -> None:
    list(chat.say("one"))
    list(chat.say("two"))
    with Memory.open(home, quick, dense=False) as other:
        mark = other.mark(
            other.journal.turns.get(chat.thread.position or ""), MarkRequest("surprise")
        )
        forget(home, other, mark.id)
    assert chat.thread.sync() == "The last reply shown here was forgotten elsewhere."
    assert chat.marks.add(MarkRequest("surprise")).difference.asked == "one"


def test_an_empty_thread_has_nothing_to_mark_even_if_turns_are_added_elsewhere(chat: Chat) -> None:
    chat.thread.position = ""
    chat.journal.turns.add(Turn(new_id(), "trip", now(), "unseen", "No.", "m", None))
    with pytest.raises(MarkError, match="no reply to mark"):
        chat.marks.add(MarkRequest("surprise"))
