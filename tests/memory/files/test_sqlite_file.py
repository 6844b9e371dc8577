"""SQLite files: which code opens and reads them, and whether they are still at their path."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agent.chat.checkpoints import checkpoints
from memory.errors import HomeError
from memory.files import sqlite_file
from memory.files.sqlite_file import alone, connect
from memory.journal.journal import Journal
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings
from memory.transfer.import_export import export_file, read_batch
from memory.upkeep.backup import asides, backup, restore
from tests.support.processes import ROOT
from tests.support.source_code import OPENING, file_calls
from tests.support.values import make_difference

LOST = "or its log was deleted, moved or replaced while it was open"


# --- who opens them ------------------------------------------------------------------------------

_COPYING = ("sqlite3.connect", "shutil.copy", "shutil.move")
_OURS = re.compile(r"\b(journal|checkpoints|aside)\b|threads\.sqlite|chroma\.sqlite3")
_THEIR_MODULES = {
    "memory/files/sqlite_file.py", "memory/journal/database.py", "memory/journal/database_errors.py",
    "memory/journal/migrations.py", "memory/upkeep/backup.py", "memory/upkeep/health.py",
    "memory/recall/chroma_store.py", "agent/chat/checkpoints.py",
}  # fmt: skip


def openings() -> Iterator[tuple[str, str]]:
    """Every call that opens a file, with the module that it is in."""
    for path, called, node in file_calls():
        opens = called in _COPYING or called.rpartition(".")[2] in OPENING
        if opens and not (written := ast.unparse(node)).startswith("sqlite3.connect(':memory:'"):
            yield path, written


def test_only_sqlite_opens_database_files() -> None:
    found = list(openings())
    assert len(found) > 50
    assert {where for where, call in found if call.startswith("sqlite3.connect")} == {
        "memory/files/sqlite_file.py"
    }
    others = [(where, call) for where, call in found if not call.startswith("sqlite3.connect")]
    assert [found for found in others if found[0] in _THEIR_MODULES] == [
        ("memory/files/sqlite_file.py", "pattern.touch()")  # an empty file whose mode is copied
    ]
    ours = [(where, call) for where, call in others if _OURS.search(call)]
    assert [(where, call) for where, call in ours if ".open(home, " not in call] == []


def test_files_of_the_open_journal_are_neither_imported_nor_overwritten(
    home: Home, settings: Settings
) -> None:
    with Memory.open(home, settings, dense=False) as memory:
        memory.journal.differences.add(make_difference())
        link = home.data / "marks.jsonl"
        os.link(home.journal, link)
        for path in (home.journal, sqlite_file.log_of(home.journal), link):
            with pytest.raises(HomeError, match="is the journal itself or its log"):
                read_batch(memory, path)
            with pytest.raises(HomeError, match="is the journal itself or its log"):
                export_file(memory, path)
            with pytest.raises(HomeError, match="is the journal itself or its log"):
                backup(memory.journal, path, force=True)
            with pytest.raises(HomeError, match="is the journal itself or its log"):
                memory.journal.exported_copies.note(path)  # what all other exports begin with
        assert memory.journal.check() is None
        assert len(memory.journal.differences.all()) == 1


# --- who may read them ---------------------------------------------------------------------------


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path, pattern: str) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.glob(pattern)}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o277, 0o777])
def test_databases_are_private_whatever_the_umask(home: Home, tmp_path: Path, mask: int) -> None:
    with umask(mask), Journal(home.journal) as journal, checkpoints(home.checkpoints):
        journal.differences.add(make_difference())
        assert modes(home.data, "*.sqlite*") == {0o600}
        copied = backup(journal, tmp_path / "copy.sqlite")
    assert stat.S_IMODE(copied.stat().st_mode) == 0o600
    assert not list(home.data.glob(".*"))


def test_a_journal_that_others_can_read_is_made_private(home: Home) -> None:
    with Journal(home.journal):
        pass
    home.journal.chmod(0o664)
    with Journal(home.journal):
        assert modes(home.data, "journal.sqlite*") == {0o600}


# --- whether they are still at their path --------------------------------------------------------


def deleted(home: Home) -> None:
    home.journal.unlink()


def moved(home: Home) -> None:
    home.journal.rename(home.data / "elsewhere.sqlite")


def replaced(home: Home) -> None:
    copied = home.data / "copied.sqlite"
    shutil.copy(home.journal, copied)
    copied.replace(home.journal)


def log_deleted(home: Home) -> None:
    sqlite_file.log_of(home.journal).unlink()


def shared_index_deleted(home: Home) -> None:
    home.journal.with_name("journal.sqlite-shm").unlink()


def all_deleted(home: Home) -> None:
    for path in home.data.glob("journal.sqlite*"):
        path.unlink()


def home_moved(home: Home) -> None:
    home.data.rename(home.data.with_name("moved"))


def home_removed(home: Home) -> None:
    shutil.rmtree(home.data)


def said(journal: Journal) -> str:
    with pytest.raises(HomeError) as caught:
        journal.database.require_in_place()
    return str(caught.value)


def elsewhere(home: Home, *, marked: str = "") -> list[str]:
    """Mark something in another process; return the questions that it finds."""
    code = f"""
import json
from pathlib import Path
from memory.journal.journal import Journal
from tests.support.values import make_difference
with Journal(Path({str(home.journal)!r})) as journal:
    if {marked!r}:
        journal.differences.add(make_difference({marked!r}))
    assert journal.check() is None
    print(json.dumps([item.asked for item in journal.differences.all()]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


Loss = Callable[[Home], None]
LOSSES: list[Loss] = [
    deleted, moved, replaced, log_deleted, shared_index_deleted, all_deleted, home_moved, home_removed,
]  # fmt: skip


def name_of(loss: Loss) -> str:
    return loss.__name__.replace("_", " ")


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_nothing_is_acknowledged_after_the_file_or_its_log_was_moved(
    home: Home, loss: Loss
) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(make_difference("before"))
        loss(home)
        with pytest.raises(HomeError, match=LOST):
            journal.differences.add(make_difference("after"))
        with pytest.raises(HomeError, match=LOST):
            journal.database.require_in_place()
        assert [item.asked for item in journal.differences.all()] == ["before"]
        rescued = asides(home.journal)
        assert len(rescued) == (loss not in (home_moved, home_removed))
        if rescued:
            assert str(rescued[0]) in said(journal)
    for path in rescued:
        with Journal(path) as journal:
            assert journal.check() is None
            assert [item.asked for item in journal.differences.all()] == ["before"]


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_a_loss_during_a_transaction_rolls_it_back(home: Home, loss: Loss) -> None:
    with Journal(home.journal) as journal:
        with pytest.raises(HomeError, match=LOST), journal.transaction():
            journal.differences.add(make_difference())
            loss(home)
        assert journal.differences.all() == []


def test_a_loss_between_the_check_and_the_commit_is_not_acknowledged(home: Home) -> None:
    with Journal(home.journal) as journal:

        def lose(statement: str) -> None:
            if statement == "commit":
                journal.database._connection.set_trace_callback(None)
                all_deleted(home)

        journal.database._connection.set_trace_callback(lose)
        with pytest.raises(HomeError, match=LOST):
            journal.differences.add(make_difference())


def test_a_journal_that_was_put_back_works_again(home: Home) -> None:
    away = home.data.with_name("away")
    with Journal(home.journal) as journal:
        home.data.rename(away)
        with pytest.raises(HomeError, match="put it back"):
            journal.differences.add(make_difference())
        away.rename(home.data)
        journal.differences.add(make_difference())
    with Journal(home.journal) as journal:
        assert len(journal.differences.all()) == 1


def test_closing_a_journal_whose_log_was_deleted_overwrites_nothing_of_others(home: Home) -> None:
    first = Journal(home.journal)
    first.differences.add(make_difference("first"))
    first.database.fold_log()
    first.differences.add(make_difference("only in the log"))
    for end in ("-wal", "-shm"):
        home.journal.with_name(f"journal.sqlite{end}").unlink()
    assert elsewhere(home, marked="second") == ["first", "second"]
    with pytest.raises(HomeError, match=LOST):
        Journal(home.journal)
    first.close()
    assert elsewhere(home) == ["first", "second"]


@pytest.mark.parametrize("loss", [log_deleted, all_deleted], ids=name_of)
def test_content_is_rescued_when_the_loss_is_noticed_at_closing(home: Home, loss: Loss) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(make_difference("kept"))
        loss(home)
    [rescued] = asides(home.journal)
    with Journal(rescued) as journal:
        assert [item.asked for item in journal.differences.all()] == ["kept"]


def test_another_process_reports_the_deleted_log(home: Home) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(make_difference())
        log_deleted(home)
        done = subprocess.run(
            [sys.executable, "-m", "tui", "memory", "list"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 2
    assert "was deleted or truncated while another process had it open" in done.stderr


def test_a_log_without_its_journal_is_not_deleted(home: Home, tmp_path: Path) -> None:
    with Journal(home.journal) as journal:
        copied = backup(journal, tmp_path / "copy.sqlite")
        journal.differences.add(make_difference())
        away, log = home.data / "away.sqlite", sqlite_file.log_of(home.journal)
        home.journal.rename(away)
        held = log.read_bytes()
        with pytest.raises(HomeError, match=r"is missing, but its log .* still exists"):
            Journal(home.journal)
        assert log.read_bytes() == held
    done = restore(home, copied)
    assert done.aside is not None
    assert done.aside.with_name(f"{done.aside.name}-wal").read_bytes() == held
    with Journal(home.journal) as journal:
        assert journal.differences.all() == []
        assert journal.check() is None


def test_a_journal_that_is_replaced_while_it_is_being_opened_is_opened_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memory.journal import database

    for name in ("old", "new"):
        with Journal(home.data / f"{name}.sqlite") as journal:
            journal.differences.add(make_difference(name))
    (home.data / "old.sqlite").rename(home.journal)

    def slow(path: Path, **options: object) -> sqlite3.Connection:
        connection = connect(path, **options)  # type: ignore[arg-type]
        if (home.data / "new.sqlite").exists():
            (home.data / "new.sqlite").rename(home.journal)
        return connection

    monkeypatch.setattr(database, "connect", slow)
    with Journal(home.journal) as journal:
        assert [item.asked for item in journal.differences.all()] == ["new"]


# --- symbolic links ------------------------------------------------------------------------------


# --- other files in its place --------------------------------------------------------------------


@pytest.mark.parametrize("version", [0, 1, 3, 99])
def test_a_journal_swapped_for_another_sqlite_database_is_refused_and_not_migrated(
    home: Home, version: int
) -> None:
    with closing(sqlite3.connect(home.journal)) as other:
        other.execute("create table recipes (name)")
        other.execute("create table turns (name)")
        other.execute(f"pragma user_version={version}")
    before = home.journal.read_bytes()
    with pytest.raises(HomeError, match="is the database of another program"):
        Journal(home.journal)
    assert home.journal.read_bytes() == before
    assert sorted(path.name for path in home.data.glob("journal*")) == ["journal.sqlite"]


def test_the_checkpoints_in_the_journals_place_are_refused(home: Home) -> None:
    with checkpoints(home.checkpoints):
        pass
    home.checkpoints.rename(home.journal)
    with pytest.raises(HomeError, match="is the database of another program"):
        Journal(home.journal)


def test_a_locked_file_cannot_be_opened_and_an_open_one_not_locked(home: Home) -> None:
    with Journal(home.journal) as journal:
        with pytest.raises(BlockingIOError), alone(home.journal):
            pass
        journal.differences.add(make_difference())
    with (
        alone(home.journal),
        closing(sqlite3.connect(home.journal, timeout=0)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("select * from turns")
