"""The journal on a real file."""

from __future__ import annotations

import sqlite3

import pytest

from memory.errors import HomeError
from memory.journal.journal import Journal
from memory.journal.migrations import MIGRATIONS
from memory.settings.paths import Home
from tests.support.values import make_difference, make_turn


def test_stored_values_are_read_back_unchanged(home: Home) -> None:
    turn, difference = make_turn(), make_difference()
    with Journal(home.journal) as journal:
        journal.turns.add(turn)
        journal.differences.add(difference)
    with Journal(home.journal) as journal:
        assert journal.turns.all() == [turn]
        assert journal.differences.all() == [difference]
        assert journal.differences.get(difference.id[:6]) == difference
        assert journal.check() is None


def test_two_open_journals_see_each_other(home: Home) -> None:
    with Journal(home.journal) as one, Journal(home.journal) as two:
        one.differences.add(make_difference())
        two.differences.add(make_difference())
        assert len(one.differences.all()) == len(two.differences.all()) == 2


def test_forgotten_text_is_not_in_the_files(home: Home) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(make_difference("Where is the plugharnessword hidden?"))
        assert journal.stems.search(["plugharnessword"], 5)
        journal.forgetting.forget(journal.differences.all()[0])
        assert not journal.stems.search(["plugharnessword"], 5)
    held = b"".join(path.read_bytes() for path in home.data.glob("journal.sqlite*"))
    assert b"plugharnessword" not in held


def test_threads_are_listed_latest_first(home: Home) -> None:
    with Journal(home.journal) as journal:
        for thread in ("a", "b", "a"):
            journal.turns.add(make_turn(thread=thread))
        assert [(name, count) for name, count, _at in journal.threads.all()] == [("a", 2), ("b", 1)]
        assert len(journal.turns.in_thread("a", limit=1)) == 1


def test_a_newer_journal_or_another_database_is_refused(home: Home) -> None:
    with Journal(home.journal):
        pass
    connection = sqlite3.connect(home.journal)
    connection.execute(f"pragma user_version={len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(HomeError, match="written by a newer Discern"):
        Journal(home.journal)
    home.journal.write_bytes(b"this is not a database, it only has its name" * 50)
    with pytest.raises(HomeError, match="is damaged"):
        Journal(home.journal)
