"""Imports wait as batches until they are confirmed or rejected."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory.difference import State
from memory.errors import UnknownIdError
from memory.memory import Memory
from memory.transfer import import_export
from memory.transfer.import_export import (
    batches,
    confirm,
    export_file,
    read_batch,
    reject,
)
from tests.support.exports import line, untouched, write
from tests.support.values import make_difference


def test_known_differences_are_left_out_of_an_import(memory: Memory, tmp_path: Path) -> None:
    path = tmp_path / "marks.jsonl"
    memory.journal.differences.add(make_difference())
    export_file(memory, path)
    again = read_batch(memory, path)
    assert (again.id, again.count, again.duplicates) == ("", 0, 1)
    assert batches(memory) == []
    twice = write(tmp_path / "twice.jsonl", line(), line(id="b2"), line(id="c3", sounds="Other."))
    batch = read_batch(memory, twice)
    assert (batch.count, batch.duplicates) == (2, 1)
    other = read_batch(memory, twice)
    assert confirm(memory, batch.id) == 2
    assert confirm(memory, other.id) == 0
    assert len(memory.journal.differences.all()) == 3


def test_nothing_of_a_batch_is_recalled_or_trained_until_it_is_confirmed(
    memory: Memory, tmp_path: Path
) -> None:
    batch = read_batch(memory, write(tmp_path / "marks.jsonl", line(state="trained")))
    assert memory.search("capital of Zubrowka") == []
    assert memory.journal.differences.count(State.WAITING, State.TRAINED) == 0
    assert [waiting.id for waiting in batches(memory)] == [batch.id]
    confirm(memory, batch.id)
    [item] = memory.journal.differences.all()
    assert item.state is State.WAITING
    assert memory.search("capital of Zubrowka")[0].difference == item


def test_a_rejected_batch_is_removed_completely(memory: Memory, tmp_path: Path) -> None:
    batch = read_batch(memory, write(tmp_path / "marks.jsonl", line()))
    assert reject(memory, batch.id) == 1
    assert untouched(memory)
    for settle in (confirm, reject):
        with pytest.raises(UnknownIdError, match="no pending batch '1'"):
            settle(memory, batch.id)


def test_a_batch_that_fails_stays_in_quarantine_completely(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line(id=f"a{number}", asked=f"{number}?") for number in range(5)]
    batch = read_batch(memory, write(tmp_path / "marks.jsonl", *lines))
    # The fifth cannot be written: the journal's constraint on ids simulates a full disk.
    monkeypatch.setattr(import_export, "new_id", iter(["1", "2", "3", "4", "4"]).__next__)
    with pytest.raises(Exception, match="UNIQUE"):
        confirm(memory, batch.id)
    assert memory.journal.differences.all() == []
    assert [waiting.count for waiting in batches(memory)] == [5]
