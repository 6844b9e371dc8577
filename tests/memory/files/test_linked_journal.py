"""A journal behind a symbolic link is watched and restored at the link's target."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory.errors import HomeError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.upkeep.backup import asides, backup, restore
from tests.memory.files.test_sqlite_file import LOST
from tests.support.values import make_difference


@pytest.fixture
def linked(home: Home, tmp_path: Path) -> Path:
    """Make the home's journal a link to a file in another folder; return the file."""
    file = tmp_path / "disk" / "marks.db"
    file.parent.mkdir()
    home.journal.symlink_to(file)
    return file


def test_restore_through_a_symbolic_link_keeps_the_link(
    home: Home, linked: Path, tmp_path: Path
) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(make_difference("kept"))
        copied = backup(journal, tmp_path / "copy.sqlite")
        journal.differences.add(make_difference("later"))
    done = restore(home, copied)
    assert home.journal.is_symlink()
    assert home.journal.resolve() == linked
    assert done.aside is not None
    assert done.aside.parent == linked.parent
    assert asides(home.journal) == [done.aside]
    with Journal(linked) as journal:
        assert [item.asked for item in journal.differences.all()] == ["kept"]
    with Journal(done.aside) as journal:
        assert len(journal.differences.all()) == 2


def test_the_target_of_a_linked_journal_is_watched(home: Home, linked: Path) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(make_difference())
        linked.with_name("marks.db-wal").unlink()
        with pytest.raises(HomeError, match=LOST):
            journal.differences.add(make_difference())


def test_a_redirected_link_is_noticed(home: Home, linked: Path) -> None:
    with Journal(home.journal) as journal:
        home.journal.unlink()
        home.journal.symlink_to(linked.with_name("other.db"))
        with pytest.raises(HomeError, match=LOST):
            journal.differences.add(make_difference())
