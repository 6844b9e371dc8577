"""The conversation: LangGraph, llama.cpp, the journal and recall together, on a tiny random model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.chat.chat import Chat
from agent.chat.context_usage import measure_context
from agent.chat.graph import ChatEvent, Delta, Finished, Recalling
from agent.chat.history import history_up_to
from agent.chat.marking.target_reply import last_turn
from agent.models.served_model import with_model
from memory.errors import MarkError, ModelError, ThreadError
from memory.mark_validation import MarkRequest
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings

QUESTION = "What is the capital of Zubrowka?"


@pytest.fixture
def tiny_settings(home: Home, tiny: Path) -> Settings:
    return read_settings(
        home, {"model": {"path": str(tiny)}, "sampling": {"max_tokens": 12, "temperature": 0.0}}
    )


@pytest.fixture
def chat(home: Home, tiny_settings: Settings) -> Iterator[Chat]:
    with Chat.open(home, tiny_settings, dense=False) as chat:
        yield chat


def finished(events: Iterator[ChatEvent]) -> Finished:
    *_rest, last = events
    assert isinstance(last, Finished)
    return last


def test_a_turn_streams_and_is_recorded_as_it_was_shown(chat: Chat) -> None:
    events = list(chat.say(QUESTION))
    assert isinstance(events[0], Recalling)
    assert not events[0].items
    text = "".join(event.text for event in events if isinstance(event, Delta))
    done = events[-1]
    assert isinstance(done, Finished)
    assert done.turn.replied == text.strip()
    assert chat.thread.turns() == [done.turn]
    assert len(done.turn.surprisal) == 12
    assert done.turn.prompt_tokens + 12 == done.context_used


def test_a_mark_is_recalled_by_the_next_message_and_leaves_no_trace_in_the_thread(
    chat: Chat,
) -> None:
    finished(chat.say(QUESTION))
    receipt = chat.marks.add(MarkRequest("error", kind="fact", sounds="Lutz."))
    assert "training runs tonight at 03:15" in receipt.text
    events = list(chat.say("what is the capital of Zubrowka"))
    assert isinstance(events[0], Recalling)
    assert [item.difference.id for item in events[0].items] == [receipt.difference.id]
    assert chat.thread.turns()[-1].recalled == (receipt.difference.id,)
    thread = {"configurable": {"thread_id": chat.thread.name}}
    assert chat._graph.get_state(thread).values == {
        "messages": [],
        "recalled": [receipt.difference.id],
        "turn": chat.thread.turns()[-1].id,
    }
    said = history_up_to(chat.journal, chat.thread.turns()[-1].id, chat.engine).messages
    assert [message.role for message in said] == ["user", "assistant"] * 2
    assert not any("past-differences" in message.content for message in said)


def test_recall_can_be_switched_off(chat: Chat) -> None:
    finished(chat.say(QUESTION))
    chat.marks.add(MarkRequest("error", sounds="Lutz."))
    chat.recalling = False
    assert finished(chat.say(QUESTION)).turn.recalled == ()


def test_a_thread_continues_where_it_was_left(home: Home, tiny_settings: Settings) -> None:
    with Chat.open(home, tiny_settings, thread="work", dense=False) as chat:
        first = finished(chat.say("One"))
    with Chat.open(home, tiny_settings, dense=False) as chat:
        assert chat.thread.name == "work"
        assert chat.thread.turns() == [first.turn]
        assert finished(chat.say("Two")).turn.prompt_tokens > first.turn.prompt_tokens
        assert chat.thread.start_new() not in ("work", "main")
        assert chat.thread.turns() == []


def test_a_stopped_reply_is_kept_and_can_be_marked(
    home: Home, tiny: Path, tiny_settings: Settings
) -> None:
    endless = read_settings(
        home,
        {
            "model": {"path": str(tiny), "context": 8192},
            "sampling": {"max_tokens": 8000, "seed": 7},
        },
    )
    with Chat.open(home, endless, dense=False) as chat:
        seen: list[ChatEvent] = []
        for event in chat.say(QUESTION):
            seen.append(event)
            if sum(isinstance(item, Delta) for item in seen) == 3:
                chat.stop()
        done = seen[-1]
        assert isinstance(done, Finished)
        assert done.turn.stopped
        assert done.reason == "cancelled"
        assert 3 <= len(done.turn.surprisal) < 8000
        assert chat.marks.add(MarkRequest("surprise")).difference.replied == done.turn.replied


def test_an_unanswered_question_is_left_out_of_the_history(chat: Chat) -> None:
    events = chat.say("Cut off")
    next(events)
    events.close()
    assert chat.thread.turns() == []
    after = finished(chat.say("Hi")).turn.prompt_tokens
    chat.thread.start_new()
    assert finished(chat.say("Hi")).turn.prompt_tokens == after


def test_a_message_that_does_not_fit_is_refused_and_the_thread_continues(chat: Chat) -> None:
    with pytest.raises(ModelError, match="the message takes"):
        list(chat.say("w" * 700))
    with pytest.raises(ModelError, match="the message is empty"):
        list(chat.say("  "))
    assert finished(chat.say("Hi")).turn.asked == "Hi"


def test_the_receipt_warns_about_an_overlong_better_answer(chat: Chat) -> None:
    list(chat.say("one"))
    assert "recalled from now on" in chat.marks.add(MarkRequest("error", sounds="Short.")).text
    receipt = chat.marks.add(MarkRequest("error", sounds="long " * 600))
    assert "It will not be trained on: the answer has" in receipt.text


def test_a_mark_without_a_reply_is_refused(chat: Chat) -> None:
    with pytest.raises(MarkError, match="no reply to mark yet"):
        chat.marks.add(MarkRequest("error"))
    with pytest.raises(MarkError, match="no reply to mark yet"):
        last_turn(chat.journal)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 81, "\x1b[2J"])
def test_a_thread_needs_a_printable_name(chat: Chat, name: str) -> None:
    with pytest.raises(ThreadError, match="not a valid thread name"):
        chat.thread.switch(name)


def test_a_missing_model_is_refused_before_anything_is_opened(
    home: Home, settings: Settings
) -> None:
    with pytest.raises(ModelError, match="there is no model at"):
        Chat.open(home, with_model(settings, "/nowhere/model.gguf"), dense=True)
    # The index is free again for the next one.
    with pytest.raises(ModelError, match="there is no model at"):
        Chat.open(home, with_model(settings, "/nowhere/model.gguf"), dense=True)


def test_the_surprisal_of_messages_is_measured_in_their_thread(chat: Chat) -> None:
    first = finished(chat.say("Hello there, it is me"))
    second = finished(chat.say("and once more, please"))
    assert first.turn.asked_surprisal is not None
    assert second.turn.asked_surprisal is not None
    assert second.prompt_reused > first.turn.prompt_tokens - 8  # measuring keeps the cached prefix


def heard(chat: Chat) -> list[str]:
    """The conversation in the next prompt."""
    said = history_up_to(
        chat.journal, chat.journal.turns.head(chat.thread.name), chat.engine
    ).messages
    return [message.content for message in said if message.role == "user"]


def test_an_edited_message_is_answered_without_the_turns_after_it(
    home: Home, tiny_settings: Settings
) -> None:
    with Chat.open(home, tiny_settings, thread="work", dense=False) as chat:
        finished(chat.say("One"))
        old = finished(chat.say("Two")).turn
        last = finished(chat.say("Three")).turn
        new = finished(chat.say("Other two", instead_of=old.id)).turn
        assert new.prompt_tokens < last.prompt_tokens
        assert [turn.asked for turn in chat.thread.turns()] == ["One", "Other two"]
        assert heard(chat) == ["One", "Other two"]
    with Chat.open(home, tiny_settings, dense=False) as chat:
        assert [turn.asked for turn in chat.thread.turns()] == ["One", "Other two"]
        assert last_turn(chat.journal).id == new.id
        chat.journal.branches.choose(old.id)
        finished(chat.say("Four"))
        assert heard(chat) == ["One", "Two", "Three", "Four"]
        finished(chat.say("Uno", instead_of=chat.thread.turns()[0].id))
        assert heard(chat) == ["Uno"]


def test_forgetting_on_one_branch_removes_the_text_from_all(
    home: Home, tiny_settings: Settings
) -> None:
    with Chat.open(home, tiny_settings, thread="work", dense=False) as chat:
        first = finished(chat.say("One Quxalot")).turn
        finished(chat.say("Two"))
        secret = chat.marks.add(MarkRequest("error", sounds="Lutz."), turn=first.id).difference
        finished(chat.say("Other two", instead_of=chat.thread.turns()[-1].id))
        chat.marks.forget(secret.id)
        assert [turn.asked for turn in chat.thread.turns()] == ["Other two"]
        finished(chat.say("Three"))
        assert heard(chat) == ["Other two", "Three"]
    kept = b"".join(file.read_bytes() for file in home.checkpoints.parent.glob("*sqlite*"))
    assert b"Quxalot" not in kept


def test_the_context_usage_equals_the_prompt_that_is_sent(chat: Chat) -> None:
    finished(chat.say(QUESTION))
    chat.marks.add(MarkRequest("error", sounds="Lutz."))
    finished(chat.say("And then?"))
    seen = measure_context(chat, QUESTION)
    assert seen.differences == 1
    assert seen.messages == 4
    assert seen.dropped == 0
    assert "Lutz." in seen.text
    assert seen.text.count(QUESTION) == 3
    assert seen.recalled > 0
    assert seen.message > 0
    assert seen.talk > seen.message
    assert seen.total == finished(chat.say(QUESTION)).turn.prompt_tokens
    assert measure_context(chat).recalled == 0


def test_the_context_usage_counts_dropped_messages(chat: Chat) -> None:
    for number in range(4):
        finished(chat.say(f"{number} " + "word " * 20))
    seen = measure_context(chat, "next")
    assert seen.dropped > 0
    assert seen.messages + seen.dropped == 8
    assert seen.total + seen.room <= seen.size


def test_a_mark_for_every_reply_without_room_is_named_at_once_and_in_the_context_usage(
    home: Home, tiny_settings: Settings
) -> None:
    """Such marks have 200 tokens of the context (`recall.standing_budget`)."""
    model = tiny_settings.model.model_copy(update={"context": 2048})
    with Chat.open(home, tiny_settings.model_copy(update={"model": model})) as chat:
        list(chat.say(QUESTION))
        fits = chat.marks.add(MarkRequest("surprise", note="Brief.", scope="everywhere"))
        assert "no room" not in fits.text
        list(chat.say(QUESTION))
        long = chat.marks.add(MarkRequest("surprise", note="Brief! " * 40, scope="everywhere"))
        assert "The context has no room for it beside the other marks" in long.text
        assert "It is in the context" not in long.text
        assert measure_context(chat, QUESTION).left_out == (long.difference.id,)
        chat.recalling = False
        assert measure_context(chat, QUESTION).left_out == ()
