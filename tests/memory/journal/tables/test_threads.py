"""Whole threads: listed, renamed everywhere, deleted without a trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memory.difference import Message, Turn, new_id, now
from memory.errors import ThreadError, UnknownIdError
from memory.journal.tables.threads import LAST_THREAD
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings
from memory.transfer.import_export import batches, export_file, read_batch
from memory.upkeep.health import check
from tests.support.leftovers import SECRET, left_in


def say(
    memory: Memory, thread: str, asked: str, replied: str = "Yes.", after: str | None = None
) -> Turn:
    turn = Turn(new_id(), thread, now(), asked, replied, "m@0")
    memory.journal.turns.add(turn, after=after)
    return turn


def test_sessions_are_listed_with_what_identifies_them(memory: Memory) -> None:
    first = say(memory, "trip", "Where is the sea?", "In the south.")
    say(memory, "work", "x" * 1000)
    last = say(memory, "trip", "And the hills?", "In the north.")
    memory.mark(first, MarkRequest("error", sounds="In the east."))
    trip, work = memory.journal.threads.sessions()
    assert (trip.name, trip.turns, trip.marks) == ("trip", 2, 1)
    assert (trip.asked, trip.replied) == ("Where is the sea?", "In the north.")
    assert (trip.began, trip.at) == (first.at, last.at)
    assert (work.turns, work.marks, len(work.asked)) == (1, 0, 300)


def test_renaming_a_thread_changes_every_reference(memory: Memory) -> None:
    journal = memory.journal
    first = say(memory, "trip", "one")
    old = say(memory, "trip", "two")
    new = say(memory, "trip", "two, otherwise", after=first.id)
    item = memory.edit(memory.mark(old, MarkRequest("error", sounds="No.")).id, note="so")
    elsewhere = memory.mark(say(memory, "work", "else"), MarkRequest("error", sounds="No."))
    journal.branches.choose(old.id)
    journal.facts.set(LAST_THREAD, "trip")
    assert journal.threads.rename("trip", "  к морю ") == "к морю"
    assert [turn.asked for turn in journal.branches.current("к морю")] == ["one", "two"]
    assert journal.branches.siblings([new.id])[new.id].turns == (old.id, new.id)
    assert journal.turns.head("trip") == ""
    assert journal.turns.in_thread("trip") == []
    assert journal.facts.get(LAST_THREAD) == "к морю"
    assert {kept.thread for kept in memory.history(item.id)} == {"к морю"}
    assert journal.differences.get(elsewhere.id).thread == "work"
    assert item.fingerprint == journal.differences.get(item.id).fingerprint
    assert {one.name for one in journal.threads.sessions()} == {"к морю", "work"}


def test_a_taken_or_invalid_thread_name_is_refused(memory: Memory) -> None:
    say(memory, "trip", "one")
    say(memory, "work", "two")
    none = "not a valid thread name"
    refused = {
        "work": "there is already a thread 'work'",
        "\n": none,
        "x" * 81: none,
        "a\x1b": none,
    }
    for new, said in refused.items():
        with pytest.raises(ThreadError, match=said):
            memory.journal.threads.rename("trip", new)
    with pytest.raises(UnknownIdError, match=r"no thread 'trib'; did you mean 'trip'\?"):
        memory.journal.threads.rename("trib", "x")
    assert memory.journal.threads.rename("trip", "trip") == "trip"


def test_a_deleted_thread_is_in_no_file(home: Home, settings: Settings) -> None:
    with Memory.open(home, settings, dense=False) as memory:
        for number in range(30):
            say(memory, "other", f"What is number {number}?")
        name = f"about a {SECRET[0]}"
        first = say(memory, name, f"What is a {SECRET[0]}?", SECRET[1])
        say(memory, name, f"Or a {SECRET[2]}?")
        say(memory, name, f"A {SECRET[1]}?", after=first.id)  # another branch
        memory.journal.facts.set(LAST_THREAD, name)
        assert set(left_in(home.data)) == set(SECRET)
        assert memory.journal.threads.delete(name) == 3
        assert not left_in(home.data)
        assert memory.journal.facts.get(LAST_THREAD) == "other"
        assert len(memory.journal.turns.all()) == 30
        assert check(home, memory.journal) == ()
    assert not left_in(home.data)


def test_marks_of_a_deleted_thread_stay_without_the_conversation(
    home: Home, memory: Memory
) -> None:
    journal = memory.journal
    name = f"about a {SECRET[0]}"
    say(memory, name, f"What is a {SECRET[0]}?", SECRET[1])
    marked = say(memory, name, "And what is red?", "A number.")
    later = say(memory, name, "Then?", "Then.")
    item = memory.mark(marked, MarkRequest("error", sounds="A colour.", system="Be brief."))
    memory.edit(item.id, note="so")
    bare = memory.mark(later, MarkRequest("surprise"))
    assert journal.threads.delete(name) == 3
    assert not left_in(home.data)
    kept = journal.differences.get(item.id)
    assert (kept.asked, kept.replied, kept.contrast.sounds) == (
        "And what is red?", "A number.", "A colour.",
    )  # fmt: skip
    assert kept.before == (Message("system", "Be brief."),)
    assert kept.teaches
    assert memory.history(item.id)[0].before == kept.before
    assert {old.thread for old in memory.history(item.id)} == {""}
    assert journal.stems.search(["red"], 5) == [item.id]
    assert memory.pin(item.id).pinned
    assert memory.edit(item.id, note="no").version == 3
    memory.undo(bare.id)
    memory.forget(item.id)
    assert journal.differences.all() == []
    assert check(home, journal) == ()


def test_marks_of_a_deleted_thread_can_be_exported_and_imported(
    memory: Memory, tmp_path: Path
) -> None:
    item = memory.mark(say(memory, "trip", "one"), MarkRequest("error", sounds="No."))
    memory.journal.threads.delete("trip")
    assert export_file(memory, tmp_path / "marks.jsonl") == 1
    memory.undo(item.id)
    assert read_batch(memory, tmp_path / "marks.jsonl").count == 1


def test_deleting_a_thread_removes_it_from_pending_imports(
    home: Home, memory: Memory, tmp_path: Path
) -> None:
    say(memory, "trip", f"What is a {SECRET[0]}?", SECRET[1])
    second = say(memory, "trip", f"A {SECRET[2]}?")
    third = say(memory, "trip", "And red?")
    for turn in (second, third):
        memory.mark(turn, MarkRequest("error", sounds="No."))
    export_file(memory, tmp_path / "marks.jsonl")
    for item in memory.journal.differences.all():
        memory.undo(item.id)
    assert read_batch(memory, tmp_path / "marks.jsonl").count == 2
    memory.mark(third, MarkRequest("error", sounds="No, no."))
    memory.journal.threads.delete("trip")
    assert not left_in(home.data)
    (batch,) = batches(memory)
    assert batch.count == 1
    rows = memory.journal.database.rows("select body from quarantine")
    assert json.loads(rows[0]["body"])["asked"] == "And red?"


def test_a_reply_in_progress_follows_its_renamed_thread(memory: Memory) -> None:
    journal = memory.journal
    first = say(memory, "trip", "one")
    journal.threads.rename("trip", "sea")
    second = say(memory, "trip", "two", after=first.id)
    assert journal.threads.of_turn(second.id) == "sea"
    assert journal.turns.in_thread("trip") == []
    assert [turn.asked for turn in journal.branches.current("sea")] == ["one", "two"]
    journal.threads.delete("sea")
    third = say(memory, "sea", "three", after=second.id)
    assert journal.turns.parent(third.id) == ""
    assert [t.asked for t in journal.branches.current("sea")] == ["three"]


def test_a_long_thread_is_renamed_and_deleted_completely(memory: Memory) -> None:
    with memory.journal.transaction():
        for number in range(2000):
            say(memory, "long", str(number))
    assert memory.journal.threads.rename("long", "longer") == "longer"
    assert len(memory.journal.branches.current("longer")) == 2000
    assert memory.journal.threads.delete("longer") == 2000
    assert memory.journal.turns.all() == []
    assert memory.journal.turns.head("longer") == ""
