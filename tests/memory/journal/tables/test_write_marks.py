"""Marks are on disk once they are added, and edits keep the previous version."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from memory.difference import Contrast
from memory.errors import UnknownIdError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.support.values import make_difference


def test_an_added_mark_is_on_disk_before_the_journal_is_closed(home: Home) -> None:
    difference = make_difference()
    with Journal(home.journal) as journal:
        journal.differences.add(difference)
        other = sqlite3.connect(home.journal)
        assert other.execute("select id from differences").fetchall() == [(difference.id,)]
        other.close()


def test_an_edit_keeps_the_previous_version(home: Home) -> None:
    first = make_difference()
    edited = replace(first, contrast=Contrast(sounds="In Gand."), version=2)
    with Journal(home.journal) as journal:
        journal.differences.add(first)
        journal.differences.replace(edited)
        assert journal.differences.get(first.id) == edited
        assert journal.differences.versions(first.id) == [first]


def test_every_change_increases_the_change_count(home: Home) -> None:
    with Journal(home.journal) as journal:
        seen = [journal.differences.change_count()]
        for _ in range(2):
            journal.differences.add(make_difference())
            seen.append(journal.differences.change_count())
        journal.forgetting.forget(journal.differences.all()[0])
        seen.append(journal.differences.change_count())
        journal.differences.add(make_difference())
        seen.append(journal.differences.change_count())
    assert len(set(seen)) == len(seen)


def test_unknown_and_ambiguous_ids_are_refused(home: Home) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(make_difference())
        for wrong in ("", "zzz", "%", "_"):
            with pytest.raises(UnknownIdError, match="no difference has the id"):
                journal.differences.get(wrong)
