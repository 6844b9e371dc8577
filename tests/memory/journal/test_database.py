"""The journal's database file: transactions, log, modes."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from memory.difference import Difference
from memory.journal.database import LOG_BYTES
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.support.values import make_difference


def log_of(home: Home) -> Path:
    return home.journal.with_name(home.journal.name + "-wal")


def test_the_journal_files_are_readable_by_the_owner_only(home: Home) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(make_difference())
        for path in home.data.glob("journal.sqlite*"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_commits_are_synced_and_automatic_checkpoints_are_off(home: Home) -> None:
    with Journal(home.journal) as journal:
        found = {
            name: journal.database.rows(f"pragma {name}")[0][0]
            for name in ("journal_mode", "synchronous", "wal_autocheckpoint", "secure_delete")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
        "wal_autocheckpoint": 0,
        "secure_delete": 1,
    }


def test_an_error_rolls_the_whole_transaction_back(home: Home) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(make_difference())
        with pytest.raises(KeyError), journal.transaction():
            journal.differences.add(make_difference())
            with journal.transaction():  # joins the one around it
                journal.differences.add(make_difference())
            raise KeyError
        assert len(journal.differences.all()) == 1
        journal.differences.add(make_difference())
        assert len(journal.differences.all()) == 2


def long_mark() -> Difference:
    """A mark of a long reply; replies are not stemmed, questions are."""
    return replace(make_difference(), replied="long " * 3000)


def test_a_writer_folds_a_long_log(home: Home) -> None:
    with Journal(home.journal) as journal:
        longest = 0
        for _ in range(30):
            with journal.transaction():
                for _ in range(40):
                    journal.differences.add(long_mark())
            longest = max(longest, log_of(home).stat().st_size)
        assert home.journal.stat().st_size > 2 * LOG_BYTES > longest


def test_a_long_reader_keeps_the_log_but_does_not_block_marks(home: Home) -> None:
    with Journal(home.journal) as journal, closing(sqlite3.connect(home.journal)) as reader:
        journal.differences.add(make_difference())
        reader.execute("begin")
        assert reader.execute("select count(*) from differences").fetchone()[0] == 1
        with journal.transaction():
            for _ in range(600):
                journal.differences.add(long_mark())
        assert log_of(home).stat().st_size > LOG_BYTES
        journal.differences.add(make_difference())
        assert reader.execute("select count(*) from differences").fetchone()[0] == 1
        reader.rollback()
        assert journal.database.fold_log()
        assert log_of(home).stat().st_size == 0
        assert len(journal.differences.all()) == 602
