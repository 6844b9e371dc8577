"""Renamed and deleted threads, in the open chat, in another process and in every file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.chat import sessions
from agent.chat.chat import Chat
from agent.chat.marking.forget import forget
from agent.chat.sessions import delete, rename
from memory.errors import ThreadError, UnknownIdError
from memory.journal.tables.threads import LAST_THREAD
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.agent.chat.test_checkpoints import bytes_of
from tests.support.leftovers import left_in

SECRET = ("plugharness", "квазиморфный")


def held(chat: Chat, thread: str) -> list[str]:
    """The user's messages in a thread up to its checkpoint."""
    state = chat._graph.get_state({"configurable": {"thread_id": thread}})
    return [turn.asked for turn in chat.journal.branches.up_to(state.values.get("turn", ""))]


def test_a_renamed_thread_continues(home: Home, chat: Chat) -> None:
    for text in ("one", "two"):
        list(chat.say(text))
    assert chat.thread.rename("trip", "sea") == "sea" == chat.thread.name
    assert held(chat, "trip") == []
    assert b"trip" not in bytes_of(home.checkpoints)
    list(chat.say("three"))
    assert held(chat, "sea") == ["one", "two", "three"]
    assert [turn.asked for turn in chat.thread.turns()] == ["one", "two", "three"]
    assert chat.journal.facts.get(LAST_THREAD) == "sea"
    with pytest.raises(UnknownIdError, match="no thread 'trip'"):
        chat.thread.rename("trip", "x")


def test_another_chat_follows_a_rename(home: Home, quick: Settings, chat: Chat) -> None:
    list(chat.say("one"))
    with Memory.open(home, quick, dense=False) as other:
        rename(home, other.journal, "trip", "sea")
        assert chat.thread.sync() == "This thread was renamed to 'sea'."
        assert chat.thread.name == "sea"
        assert chat.thread.sync() is None
        rename(home, other.journal, "sea", "hills")
        list(chat.say("two"))  # without a check first
        assert chat.thread.name == "hills"
        assert held(chat, "hills") == ["one", "two"]
        # By now, the old name may belong to another thread.
        rename(home, other.journal, "hills", "woods")
        with Chat.open(home, quick, thread="hills") as third:
            list(third.say("else"))
        assert chat.thread.sync() == "This thread was renamed to 'woods'."
        assert [turn.asked for turn in chat.thread.turns()] == ["one", "two"]


def test_a_reply_being_written_follows_its_renamed_thread(
    home: Home, quick: Settings, chat: Chat
) -> None:
    list(chat.say("one"))
    events = chat.say("two")
    next(events)
    with Memory.open(home, quick, dense=False) as other:
        rename(home, other.journal, "trip", "sea")
    list(events)
    assert chat.journal.facts.get(LAST_THREAD) == "sea"
    assert chat.journal.turns.in_thread("trip") == []
    assert held(chat, "trip") == []  # what its run had restored is removed again
    assert chat.thread.sync() is not None
    list(chat.say("three"))
    assert held(chat, "sea") == ["one", "two", "three"]


def test_a_reply_being_written_restores_no_text_of_a_deleted_thread(
    home: Home, quick: Settings, chat: Chat
) -> None:
    list(chat.say(f"What is a {SECRET[0]}?"))
    events = chat.say("And then?")
    next(events)
    with Memory.open(home, quick, dense=False) as other:
        assert delete(home, other, "trip").turns == 1
    list(events)
    assert not left_in(home.data, SECRET)
    assert [turn.asked for turn in chat.thread.turns()] == ["And then?"]
    list(chat.say("So?"))
    assert held(chat, "trip") == ["And then?", "So?"]


def test_a_chat_notices_that_its_thread_was_deleted_elsewhere(
    home: Home, quick: Settings, chat: Chat
) -> None:
    assert chat.thread.sync() is None
    list(chat.say("one"))
    with Memory.open(home, quick, dense=False) as other:
        delete(home, other, "trip")
    assert "was deleted elsewhere" in (chat.thread.sync() or "")
    assert chat.thread.sync() is None
    assert chat.thread.turns() == []
    list(chat.say("two"))
    assert held(chat, "trip") == ["two"]


def test_a_thread_whose_only_turn_was_forgotten_is_not_reported_as_deleted(chat: Chat) -> None:
    list(chat.say("one"))
    chat.marks.forget(chat.marks.add(MarkRequest("surprise")).difference.id)
    assert chat.thread.turns() == []
    assert chat.thread.sync() is None


def test_no_text_of_a_deleted_thread_is_left_in_any_file(
    home: Home, quick: Settings, chat: Chat, tmp_path: Path
) -> None:
    for text in (f"What is a {SECRET[0]}?", "And what is red?", f"Is it {SECRET[1]}?"):
        list(chat.say(text))
    marked = chat.thread.turns()[1]
    item = chat.marks.add(MarkRequest("error", sounds="A colour."), turn=marked.id).difference
    with Chat.open(home, quick, thread="other") as other:
        list(other.say("Elsewhere Gnomon"))
    run = home.runs / "20261123T031500"
    run.mkdir(parents=True)
    report = {"changes": [{"asked": f"What is a {SECRET[0]}?"}, {"asked": "And what is red?"}]}
    (run / "report.json").write_text(json.dumps(report), "utf-8")
    (home.cache / "anchors").mkdir(parents=True)
    (home.cache / "anchors" / "a.json").write_text(SECRET[0])
    exported = tmp_path / "trip.md"
    exported.write_text("…")
    chat.journal.exported_copies.note(exported)
    assert set(left_in(home.data, SECRET)) == set(SECRET)
    gone = chat.thread.delete("trip")
    assert (gone.turns, gone.marks, gone.files) == (3, 1, (exported,))
    assert not left_in(home.data, SECRET)
    assert not left_in(home.runs, SECRET)
    assert not (home.cache / "anchors").exists()
    assert "And what is red?" in (run / "report.json").read_text()  # the mark's own words stay
    assert chat.thread.name == "other"
    assert held(chat, "other") == ["Elsewhere Gnomon"]
    assert item.id in {kept.id for kept in chat.journal.differences.all()}
    assert [found.difference.id for found in chat.memory.search("what is red")] == [item.id]
    assert chat.marks.undo(item.id).thread == ""


def test_a_mark_of_a_deleted_thread_can_be_forgotten(home: Home, chat: Chat) -> None:
    list(chat.say(f"What is a {SECRET[0]}?"))
    item = chat.marks.add(MarkRequest("error", sounds=f"A {SECRET[1]}.")).difference
    assert chat.thread.delete("trip").marks == 1
    assert chat.thread.turns() == []
    assert chat.thread.name != "trip"
    assert left_in(home.data, SECRET)
    forget(home, chat.memory, item.id)
    assert not left_in(home.data, SECRET)


def test_a_thread_is_not_renamed_or_deleted_while_a_reply_is_written(chat: Chat) -> None:
    list(chat.say("one"))
    events = chat.say("two")
    next(events)
    for attempt in (lambda: chat.thread.delete("trip"), lambda: chat.thread.rename("trip", "x")):
        with pytest.raises(ThreadError, match="a reply is still being generated"):
            attempt()
    events.close()
    assert chat.thread.rename("trip", "x") == "x"


def test_a_refused_name_leaves_the_checkpoints_alone(home: Home, chat: Chat) -> None:
    list(chat.say("one"))
    with Chat.open(home, chat.settings, thread="work") as other:
        list(other.say("two"))
    before = bytes_of(home.checkpoints)
    for new in ("work", "", "\n"):
        with pytest.raises(ThreadError):
            chat.thread.rename("trip", new)
    assert chat.thread.rename("trip", "trip") == "trip"
    assert bytes_of(home.checkpoints) == before


def test_a_rename_or_deletion_killed_halfway_leaves_the_thread_as_it_was(
    home: Home, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(chat.say("one"))

    def dies(*_given: object) -> None:
        raise KeyboardInterrupt

    for verb in ("rename", "delete"):
        with monkeypatch.context() as patched:
            patched.setattr(chat.journal.threads, verb, dies)
            with pytest.raises(KeyboardInterrupt):
                if verb == "rename":
                    sessions.rename(home, chat.journal, "trip", "sea")
                else:
                    sessions.delete(home, chat.memory, "trip")
        assert held(chat, "trip") == []
        list(chat.say("and"))
        assert held(chat, "trip") == [turn.asked for turn in chat.thread.turns()]
    assert [turn.asked for turn in chat.thread.turns()] == ["one", "and", "and"]
