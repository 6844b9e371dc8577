"""Backing up and restoring the journal, on real files."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from memory.errors import HomeError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.upkeep.backup import asides, backup, restore
from tests.support.values import make_difference, make_turn


def keep(home: Home, count: int) -> None:
    with Journal(home.journal) as journal:
        journal.turns.add(make_turn())
        for _ in range(count):
            journal.differences.add(make_difference())


def held(path: Path) -> int:
    with Journal(path) as journal:
        assert journal.check() is None
        return len(journal.differences.all())


def test_a_backup_is_whole_while_the_journal_is_in_use(home: Home, tmp_path: Path) -> None:
    with Journal(home.journal) as journal:
        for _ in range(3):
            journal.differences.add(make_difference())
        path = backup(journal, tmp_path / "copy.sqlite")
        journal.differences.add(make_difference())
        assert len(journal.differences.all()) == 4
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(item.name for item in tmp_path.iterdir()) == ["copy.sqlite", "home"]
    assert held(path) == 3


def test_a_backup_overwrites_nothing_unless_asked(home: Home, tmp_path: Path) -> None:
    keep(home, 1)
    path = tmp_path / "copy.sqlite"
    path.write_text("mine")
    with Journal(home.journal) as journal:
        with pytest.raises(HomeError, match="already exists"):
            backup(journal, path)
        assert path.read_text() == "mine"
        with pytest.raises(HomeError, match="is the journal itself"):
            backup(journal, home.journal, force=True)
        backup(journal, path, force=True)
        with pytest.raises(HomeError, match=r"No such file|unable to open"):
            backup(journal, tmp_path / "no folder" / "copy.sqlite")
    assert held(path) == held(home.journal) == 1


def test_a_restore_keeps_the_previous_journal(home: Home, tmp_path: Path) -> None:
    keep(home, 2)
    with Journal(home.journal) as journal:
        copy = backup(journal, tmp_path / "copy.sqlite")
        journal.differences.add(make_difference())
    done = restore(home, copy)
    assert (done.turns, done.differences) == (1, 2)
    assert done.aside is not None
    assert asides(home.journal) == [done.aside]
    assert held(home.journal) == 2
    assert held(done.aside) == 3
    assert held(copy) == 2


def test_the_log_of_a_killed_process_is_not_replayed_into_the_copy(
    home: Home, tmp_path: Path
) -> None:
    keep(home, 2)
    with Journal(home.journal) as journal:
        copy = backup(journal, tmp_path / "copy.sqlite")
    _mark_and_die(home)
    done = restore(home, copy)
    assert held(home.journal) == 2
    assert done.aside is not None
    assert held(done.aside) == 3


def _mark_and_die(home: Home) -> None:
    code = (
        "import os, signal; from pathlib import Path; from memory.journal.journal import Journal;"
        "from tests.support.values import make_difference;"
        f"journal = Journal(Path({str(home.journal)!r}));"
        "journal.differences.add(make_difference());"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    assert done.returncode == -9
    assert home.journal.with_name("journal.sqlite-wal").stat().st_size > 0


def test_a_damaged_journal_is_kept_beside_the_restored_one(home: Home, tmp_path: Path) -> None:
    keep(home, 2)
    with Journal(home.journal) as journal:
        copy = backup(journal, tmp_path / "copy.sqlite")
    home.journal.write_bytes(b"no database any more " * 1000)
    done = restore(home, copy)
    assert held(home.journal) == 2
    assert done.aside is not None
    assert done.aside.read_bytes().startswith(b"no database")


def test_nothing_is_restored_while_another_process_has_the_journal_open(
    home: Home, tmp_path: Path
) -> None:
    keep(home, 1)
    with Journal(home.journal) as journal:
        copy = backup(journal, tmp_path / "copy.sqlite")
    code = (
        "import sys; from pathlib import Path; from memory.journal.journal import Journal;"
        f"journal = Journal(Path({str(home.journal)!r})); print('open', flush=True);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(HomeError, match="is open in another process"):
            restore(home, copy)
        other.communicate()
    assert asides(home.journal) == []
    assert restore(home, copy).differences == 1


@pytest.mark.parametrize("kind", ["missing", "text", "other", "newer", "cut", "itself"])
def test_an_incomplete_copy_is_refused(home: Home, tmp_path: Path, kind: str) -> None:
    keep(home, 200)
    path = tmp_path / "copy.sqlite"
    with Journal(home.journal) as journal:
        if kind in ("newer", "cut"):
            backup(journal, path)
    if kind == "text":
        path.write_text("not a database " * 500)
    elif kind == "other":
        sqlite3.connect(path).execute("create table recipes (x)").connection.close()
    elif kind == "newer":
        sqlite3.connect(path).execute("pragma user_version=99").connection.close()
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:-20_000])
    elif kind == "itself":
        path = home.journal
    said = {
        "missing": "there is no file",
        "text": "is damaged",
        "other": "is not a Discern journal",
        "newer": "written by a newer Discern",
        "cut": "is damaged",
        "itself": "is the journal itself",
    }
    with pytest.raises(HomeError, match=said[kind]):
        restore(home, path)
    assert held(home.journal) == 200
    assert not list(home.data.glob("*aside*"))
    assert not list(home.data.glob(".journal*"))


def test_a_restore_works_on_a_disk_without_hard_links(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(home, 2)
    with Journal(home.journal) as journal:
        copy = backup(journal, tmp_path / "copy.sqlite")
    _mark_and_die(home)

    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    done = restore(home, copy)
    assert held(home.journal) == 2
    assert done.aside is not None
    assert held(done.aside) == 3
