"""Full, read-only and locked disks: one error sentence, earlier marks intact, and work continues."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from memory.errors import HomeError
from memory.journal import database
from memory.journal.journal import Journal
from memory.journal.migrations import copies
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.memory.journal.old_journals import write_version_1
from tests.support.mounts import mounted, needs_mounts
from tests.support.processes import ROOT
from tests.support.values import make_difference, make_turn

NOBODY = "65534"


def run(
    *words: str, before: tuple[str, ...] = (), limits: Callable[[], None] | None = None
) -> dict[str, Any]:
    """The output of `tests.faults.programs.disk_process`, all lines merged."""
    done = subprocess.run(
        [*before, sys.executable, "-m", "tests.faults.programs.disk_process", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=limits,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        said |= json.loads(line)
    return said


@needs_mounts
def test_a_full_disk_refuses_a_mark_keeps_earlier_ones_and_accepts_marks_once_there_is_space(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    words = mounted(f"mount -t tmpfs -o size=2m none {disk}")
    said = run("full", str(disk / "home"), str(disk / "ballast"), before=words)
    assert "no space left to write the journal" in said["refused"]
    assert "existing data is intact" in said["refused"]
    assert said["kept"] >= 1
    assert said["again"]
    assert said["whole"]
    assert said["opened"] is True or "no space left to write the journal" in said["opened"]


@needs_mounts
def test_forget_and_delete_work_on_a_full_disk_and_leave_no_text(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    words = mounted(f"mount -t tmpfs -o size=80m none {disk}")
    said = run("erase", str(disk / "home"), str(disk / "ballast"), before=words)
    assert said["free"] == 0
    assert said["log"] == "begun\ntoo long: (forgotten)\n"
    assert said["codes"] == [0, 0], said["said"]
    assert said["turns"] == 99
    assert said["whole"]
    assert said["left"] == []
    assert said["first"] == []


def test_a_file_size_limit_refuses_a_mark_and_keeps_earlier_ones(
    home: Home, tmp_path: Path
) -> None:
    """The kernel's limit on file size, for machines where mounting is not allowed."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))

    with Journal(home.journal) as journal:
        journal.differences.add(make_difference())
    said = run("open", str(home.data), limits=limit)
    assert said["opened"] == 1
    assert said["marked"]
    code = (
        "import sys; from tests.faults.programs.disk_process import *\n"
        "with Journal(Path(sys.argv[1])) as journal:\n"
        "    from tests.support.values import make_difference\n"
        "    try:\n"
        "        for _ in range(99): journal.differences.add(make_difference('long ' * 2000))\n"
        "    except DiscernError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home.journal)],
        cwd=ROOT, preexec_fn=limit, capture_output=True, text=True,
    )  # fmt: skip
    assert "no space left to write the journal" in done.stdout
    with Journal(home.journal) as journal:
        assert journal.check() is None
        assert len(journal.differences.all()) >= 2


def test_a_journal_at_its_page_limit_accepts_marks_once_the_limit_is_raised(
    home: Home, settings: Settings
) -> None:
    with Memory.open(home, settings, dense=False) as memory:
        memory.mark(make_turn(), MarkRequest("error", sounds="Lutz."))
        [row] = memory.journal.database.rows("pragma page_count")
        memory.journal.database.rows(f"pragma max_page_count={row[0] + 2}")
        with pytest.raises(HomeError, match=r"no space left to write the journal .* full"):
            for _ in range(99):
                memory.mark(make_turn(), MarkRequest("error", sounds="x" * 19_000))
        kept = len(memory.journal.differences.all())
        memory.journal.database.rows("pragma max_page_count=1000000")
        memory.mark(make_turn(), MarkRequest("error", sounds="x" * 19_000))
        assert len(memory.journal.differences.all()) == kept + 1


@needs_mounts
def test_an_old_journal_on_a_full_disk_is_not_changed(tmp_path: Path) -> None:
    disk, source = tmp_path / "disk", tmp_path / "old.sqlite"
    disk.mkdir()
    write_version_1(source, 400)
    size = source.stat().st_size
    words = mounted(
        f"mount -t tmpfs -o size={size + 150_000} none {disk}",
        f"mkdir {disk}/home",
        f"cp {source} {disk}/home/journal.sqlite",
    )
    said = run("open", f"{disk}/home", before=words)
    assert "cannot copy the journal" in said["refused"]
    assert "nothing was changed" in said["refused"]


@needs_mounts
def test_a_read_only_disk_refuses_marks_and_keeps_existing_ones(home: Home) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(make_difference())
    before = home.journal.read_bytes()
    words = mounted(
        f"mount --bind {home.data} {home.data}", f"mount -o remount,ro,bind {home.data}"
    )
    said = run("open", str(home.data), before=words)
    assert "read-only" in said["refused"]
    assert "DISCERN_HOME" in said["refused"]
    assert home.journal.read_bytes() == before


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_or_folder_without_write_permission_is_refused(home: Home, what: str) -> None:
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("nothing is forbidden to root, and there is no setpriv")
    with Journal(home.journal) as journal:
        journal.differences.add(make_difference())
    before = home.journal.read_bytes()
    words: tuple[str, ...] = ()
    if os.geteuid() == 0:
        for path in (home.data, *home.data.rglob("*")):
            os.chown(path, int(NOBODY), int(NOBODY))
        for path in home.data.parents:  # only the owner may access pytest's folders
            if path.name.startswith(("pytest-", "popen-", "test_")):
                path.chmod(0o755)
        words = ("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups")
    (home.journal if what == "file" else home.data).chmod(0o444 if what == "file" else 0o555)
    said = run("open", str(home.data), before=words)
    home.data.chmod(0o755)
    assert "read-only" in said["refused"]
    assert "DISCERN_HOME" in said["refused"]
    assert home.journal.read_bytes() == before


def test_a_long_held_lock_is_reported_and_nothing_is_lost(
    home: Home, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    with (
        Memory.open(home, settings, dense=False) as memory,
        closing(sqlite3.connect(home.journal, isolation_level=None)) as other,
    ):
        memory.mark(make_turn(), MarkRequest("error", sounds="Lutz."))
        other.execute("begin immediate")
        with pytest.raises(HomeError, match=r"locked by another process .* try again"):
            memory.mark(make_turn(), MarkRequest("error", sounds="Nebelsbad."))
        assert len(memory.journal.differences.all()) == 1  # reading still works
        other.execute("rollback")
        memory.mark(make_turn(), MarkRequest("error", sounds="Nebelsbad."))
        assert len(memory.journal.differences.all()) == 2


def test_an_old_journal_locked_by_another_process_is_not_changed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    ids = write_version_1(home.journal, 3)
    with closing(sqlite3.connect(home.journal, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(HomeError, match="locked by another process"):
            Journal(home.journal)
        other.execute("rollback")
    assert copies(home.journal) == []
    with Journal(home.journal) as journal:
        assert [item.id for item in journal.differences.all()] == ids
