"""A journal of an earlier version is migrated after a copy is made next to it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from memory.difference import State
from memory.errors import HomeError
from memory.journal import migrations
from memory.journal.journal import Journal
from memory.journal.migrations import MIGRATIONS
from memory.journal.tables import stem_index
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.memory.journal.old_journals import write_version_1


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("pragma user_version").fetchone()[0])


def test_a_version_1_journal_is_migrated_completely(home: Home, settings: Settings) -> None:
    ids = write_version_1(home.journal, 5)
    with Memory.open(home, settings, dense=False) as memory:
        journal = memory.journal
        found = journal.differences.all()
        assert [item.id for item in found] == ids
        assert {item.state for item in found} == {State.TRAINED}
        assert found[3].contrast.sounds == ("Lutz number 3. " * 20)
        assert (found[3].version, found[3].before, found[3].pinned) == (1, (), False)
        assert len(journal.turns.all()) == 5
        assert journal.turns.all()[0].surprisal == (0.5, 1.25)
        assert journal.nights.latest()[0].state == "published"
        assert journal.facts.get("last thread") == "main"
        assert memory.edit(ids[0], sounds="Lutz.").version == 2
        assert len(memory.history(ids[0])) == 2
        assert journal.stems.search(["land"], 9)


def test_a_migration_is_recorded_and_the_old_file_kept(home: Home) -> None:
    ids = write_version_1(home.journal, 5)
    with Journal(home.journal) as journal:
        rows = journal.database.rows("select version, at from migrations")
        assert rows[-1]["version"] == len(MIGRATIONS)
        assert rows[-1]["at"]
    copy = home.journal.with_name("journal.sqlite.before-2")
    assert version(copy) == 1
    assert version(home.journal) == len(MIGRATIONS)
    with closing(sqlite3.connect(copy)) as connection:
        assert [row[0] for row in connection.execute("select id from differences")] == ids
    with Journal(home.journal):
        pass
    assert [item.name for item in migrations.copies(home.journal)] == [copy.name]


def test_a_new_journal_needs_no_copy(home: Home) -> None:
    with Journal(home.journal):
        pass
    assert migrations.copies(home.journal) == []


def test_a_migration_that_fails_leaves_the_old_file(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_version_1(home.journal, 5)

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("alter table turns add column half text")
        connection.execute("create table turns (x)")

    with monkeypatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, ("a broken one", broken)))
        with pytest.raises(HomeError, match="existing data is intact"):
            Journal(home.journal)
    assert version(home.journal) == 1
    with Journal(home.journal) as journal:
        assert len(journal.differences.all()) == 5


def test_a_copy_that_cannot_be_made_changes_nothing(home: Home) -> None:
    write_version_1(home.journal, 5)
    blocked = home.journal.with_name("journal.sqlite.before-2")
    (blocked / "in the way").mkdir(parents=True)
    with pytest.raises(HomeError, match="nothing was changed"):
        Journal(home.journal)
    assert version(home.journal) == 1
    shutil.rmtree(blocked)
    with Journal(home.journal) as journal:
        assert len(journal.differences.all()) == 5


def test_only_the_last_two_copies_are_kept(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write_version_1(home.journal, 2)
    known = len(migrations.MIGRATIONS)
    for _ in range(3):
        with Journal(home.journal):
            pass
        more = (*migrations.MIGRATIONS, ("nothing", lambda _connection: None))
        monkeypatch.setattr(migrations, "MIGRATIONS", more)
    with Journal(home.journal):
        pass
    assert [item.name for item in migrations.copies(home.journal)] == [
        f"journal.sqlite.before-{number}" for number in (known + 2, known + 3)
    ]


def test_a_new_stemmer_rebuilds_the_stem_index(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write_version_1(home.journal, 3)
    with Journal(home.journal) as journal:
        assert journal.stems.search(["capit"], 9)
    monkeypatch.setattr(stem_index, "STEMMER", "another")
    monkeypatch.setattr(stem_index, "stems", lambda text: [text[:3].lower()])
    with Journal(home.journal) as journal:
        assert not journal.stems.search(["capit"], 9)
        assert len(journal.stems.search(["wha"], 9)) == 3
