"""Undoing a mark and forgetting: no byte of the text remains in any file."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from memory.difference import Message, new_id
from memory.errors import UnknownIdError
from memory.files.disk_reserve import RESERVED_BYTES
from memory.journal.journal import Journal
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings
from memory.transfer.import_export import batches, export_file, read_batch
from tests.support.leftovers import SECRET, bytes_of, left_in
from tests.support.values import make_difference, make_turn


def test_forgotten_differences_are_in_no_file(home: Home, settings: Settings) -> None:
    with Memory.open(home, settings, progress=lambda _done, _total: None) as memory:
        for number in range(30):
            turn = make_turn(f"What is number {number}?")
            memory.journal.turns.add(turn)
            memory.mark(turn, MarkRequest("error", sounds=f"Number {number}."))
        turn = make_turn(f"What is a {SECRET[0]} or {SECRET[1]}?")
        memory.journal.turns.add(turn, why=[("someone", 0.7, [SECRET[0]])])
        item = memory.mark(turn, MarkRequest("error", sounds=f"A {SECRET[2]}.", note=SECRET[1]))
        memory.edit(item.id, sounds=f"A {SECRET[2]} {SECRET[1]}.", note="")
        memory.edit(item.id, note=SECRET[0])
        later = make_turn("And then?")
        memory.journal.turns.add(later)
        other = memory.mark(later, MarkRequest("error", sounds="Then nothing."))
        other = memory.edit(other.id, sounds="Nothing.")
        assert memory.settle()
        assert left_in(home.data)
        assert memory.index is not None
        assert item.id in {identity for identity, _ in memory.index.nearest(turn.asked, 50)}
        assert not left_in(home.index)  # Chroma gets only vectors and ids
        gone = memory.forget(item.id[:8])
        assert memory.settle()
        assert gone.turn == turn.id
        assert not left_in(home.data)
        assert not left_in(home.index)
        assert item.id not in memory.index.ids()
        with pytest.raises(UnknownIdError):
            memory.history(item.id)
        forgotten = memory.journal.database.rows("select id from forgotten")
        assert [row["id"] for row in forgotten] == [item.id]
        assert turn.id not in {kept.id for kept in memory.journal.turns.all()}
        other = memory.journal.differences.get(other.id)
        talk = [*other.before, *memory.history(other.id)[0].before]
        assert Message("user", "What is number 29?") in talk
        assert Message("user", turn.asked) not in talk
    assert not left_in(home.data)


def test_forgetting_many_differences_leaves_no_bytes_of_them(home: Home) -> None:
    draw = random.Random(5)
    with Journal(home.journal) as journal:
        with journal.transaction():
            for number in range(800):
                word = f"zq{number:05d}"
                journal.differences.add(make_difference(f"{word} " * draw.randrange(1, 200)))
        for item in draw.sample(journal.differences.all(), 200):
            with (
                journal.transaction() as connection
            ):  # grow and shrink it, so that pages split and merge
                connection.execute(
                    "update differences set asked = ? where id = ?",
                    (item.asked[:7] * draw.randrange(1, 400), item.id),
                )
        gone = draw.sample(journal.differences.all(), 40)
        for item in gone:
            journal.forgetting.forget(item)
        held = bytes_of(home.data)
        assert not [item.asked[:7] for item in gone if item.asked[:7].encode() in held]
        assert len(journal.differences.all()) == 760


def test_a_log_kept_by_a_reader_is_emptied_at_the_next_opening(home: Home) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(make_difference(f"What is a {SECRET[0]}?"))
        reader = sqlite3.connect(home.journal)
        reader.execute("begin")
        reader.execute("select count(*) from differences").fetchone()
        journal.forgetting.forget(journal.differences.all()[0])
        assert left_in(home.data)
        # The reading chat is killed: no closing connection checkpoints the log.
        reader.rollback()
        assert left_in(home.data)
        with Journal(home.journal):
            assert not left_in(home.data)
        reader.close()


def test_undoing_a_mark_keeps_its_turn(memory: Memory) -> None:
    turn = make_turn()
    memory.journal.turns.add(turn)
    item = memory.mark(turn, MarkRequest("error", sounds="Lutz."))
    assert memory.undo(item.id) == item
    assert memory.journal.differences.all() == []
    assert memory.journal.turns.all() == [turn]
    assert memory.journal.stems.search(["why"], 5) == []
    with pytest.raises(UnknownIdError):
        memory.undo(item.id)


def test_a_turn_stays_until_its_last_mark_is_forgotten(memory: Memory) -> None:
    turn = make_turn()
    memory.journal.turns.add(turn)
    one = memory.mark(turn, MarkRequest("error", sounds="Lutz."))
    two = memory.mark(turn, MarkRequest("surprise"))
    memory.forget(one.id)
    assert memory.journal.turns.all() == [turn]
    memory.forget(two.id)
    assert memory.journal.turns.all() == []


def test_forgetting_removes_copies_in_quarantine(
    memory: Memory, home: Home, tmp_path: Path
) -> None:
    turn = make_turn(f"What is a {SECRET[0]}?")
    memory.journal.turns.add(turn)
    memory.mark(make_turn("Another?"), MarkRequest("error", sounds="Yes."))
    item = memory.mark(turn, MarkRequest("error", sounds="Lutz."))
    export_file(memory, tmp_path / "marks.jsonl")
    memory.undo(item.id)
    assert read_batch(memory, tmp_path / "marks.jsonl").count == 1
    again = memory.mark(turn, MarkRequest("error", sounds="Nebelsbad."))
    with memory.journal.transaction() as connection:
        connection.execute("insert into quarantine values (99, '9', '', '', 'no JSON')")
    memory.forget(again.id)
    with memory.journal.transaction() as connection:
        connection.execute("delete from quarantine where batch = '9'")
    assert batches(memory) == []
    assert not left_in(home.data)


def test_removing_a_successor_relinks_the_superseded_marks(memory: Memory) -> None:
    oldest, old, new = (
        memory.mark(make_turn(), MarkRequest("error", sounds=str(n))) for n in range(3)
    )
    memory.supersede(oldest.id, old.id)
    memory.supersede(old.id, new.id)
    memory.undo(old.id)
    assert memory.journal.differences.get(oldest.id).superseded_by == new.id
    memory.forget(new.id)
    assert memory.journal.differences.get(oldest.id).superseded_by is None


def test_forgetting_in_a_large_journal_keeps_the_log_short(home: Home) -> None:
    draw = random.Random(1)
    with Journal(home.journal) as journal:
        items = [
            replace(
                make_difference(" ".join("".join(draw.choices("abcdefgh", k=6)) for _ in range(9))),
                id=new_id(),
                turn=new_id(),
            )
            for _ in range(2500)
        ]
        items[77] = replace(items[77], asked=" ".join(SECRET))
        for start in range(0, len(items), 250):
            with journal.transaction():
                for item in items[start : start + 250]:
                    journal.differences.add(item)
        journal.database.fold_log()
        log = home.journal.with_name(home.journal.name + "-wal")
        longest: list[int] = []
        fold = journal.database.fold_log

        def noted() -> bool:
            longest.append(log.stat().st_size)
            return fold()

        journal.database.fold_log = noted  # type: ignore[method-assign]
        journal.forgetting.forget(items[77])
        assert len(longest) > 2
        assert max(longest) < RESERVED_BYTES
        assert journal.facts.get("to fold") is None
        assert journal.check() is None
    assert not left_in(home.data)
    assert items[78].asked.encode() in bytes_of(home.data)
