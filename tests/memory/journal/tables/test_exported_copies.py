"""Exported copies are recorded even if the export fails, and leftovers are removed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from memory.errors import HomeError, ThreadError
from memory.files.atomic_write import scratch
from memory.journal.journal import Journal
from memory.journal.tables.exported_copies import sweep_home, unfinished
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings
from memory.settings.settings_file import write_setting
from memory.transfer.import_export import export_file
from memory.transfer.session_file import write_session
from memory.upkeep import health
from memory.upkeep.backup import backup, counts, restore
from tests.memory.files.test_atomic_write import killed
from tests.support.values import make_difference, make_turn

LEFT = ".discern-0123456789abcdef"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder outside the home for exported copies."""
    (tmp_path / "copies").mkdir()
    return tmp_path / "copies"


def keep(home: Home) -> None:
    with Journal(home.journal) as journal:
        journal.turns.add(make_turn())
        journal.differences.add(make_difference())


def a_backup(home: Home, settings: Settings, place: Path) -> None:
    with Journal(home.journal) as journal:
        backup(journal, place / "copy", force=True)


def an_export(home: Home, settings: Settings, place: Path) -> None:
    with Memory.open(home, settings, dense=False) as memory:
        export_file(memory, place / "copy")


def a_session(home: Home, settings: Settings, place: Path) -> None:
    with Journal(home.journal) as journal:
        write_session(journal, place / "copy", "words")


@pytest.mark.parametrize("take_out", [a_backup, an_export, a_session])
def test_leftovers_of_a_killed_export_are_found_and_removed(
    home: Home, settings: Settings, place: Path, take_out: object
) -> None:
    keep(home)
    path = place / "copy"
    number = parts = 0
    while True:
        number += 1
        died = killed(lambda: take_out(home, settings, place), number)  # type: ignore[operator]
        with Journal(home.journal) as journal:
            known = [target for target, _ in journal.exported_copies.noted()]
            if any(place.iterdir()):
                assert known == [path]
            if found := unfinished(home, journal.exported_copies):
                parts += 1
                said = [item.sentence for item in health.check(home, journal)]
                assert any(str(found[0]) in sentence for sentence in said)
            journal.exported_copies.sweep()
            assert set(place.iterdir()) <= {path}
            assert unfinished(home, journal.exported_copies) == []
        if path.exists():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            if take_out is a_backup:
                assert counts(path) == (1, 1)
        if not died:
            break
        path.unlink(missing_ok=True)
    assert parts >= 3


def test_a_killed_restore_leaves_an_intact_journal_and_no_leftovers(
    home: Home, place: Path
) -> None:
    keep(home)
    with Journal(home.journal) as journal:
        backup(journal, place / "copy")
    number = 0
    while True:
        number += 1
        died = killed(lambda: restore(home, place / "copy"), number)
        sweep_home(home)
        assert not list(home.data.glob(".*"))
        with Journal(home.journal) as journal:
            assert journal.check() is None
            assert len(journal.differences.all()) == 1
        if not died:
            break
    assert number > 8


def test_a_killed_settings_write_leaves_the_old_or_the_new_file(home: Home) -> None:
    number = 0
    while True:
        number += 1
        home.settings_file.write_text("# mine\n")
        died = killed(lambda: write_setting(home, "ui", "hints", False), number)
        sweep_home(home)
        assert home.settings_file.read_text() in ("# mine\n", "# mine\n\n[ui]\nhints = false\n")
        assert not list(home.config.glob(".*"))
        if not died:
            break
    assert number > 8


def test_the_next_start_sweeps_the_home_and_leftovers_of_earlier_versions(
    home: Home,
) -> None:
    run = home.runs / "20261123T031500"
    folders = [home.config, home.state, home.cache, home.adapters, home.cache / "anchors", run]
    for folder in folders:
        (folder / LEFT / "inner").mkdir(parents=True)
    earlier = [
        home.data / ".journal.sqlite.0a1b2c3d",
        home.data / ".journal.sqlite.0a1b2c3d-journal",
        home.data / "journal.sqlite.before-3.part",
        home.config / ".config.toml.0a1b2c3d",
        run / ".report.json.0a1b2c3d",
        run / ".report.tmp",
        home.cache / "anchors" / "anchors.4711.tmp.npz",
    ]
    for path in earlier:
        path.write_text("words")
    (home.adapters / ".tmp-0123456789abcdef").mkdir()
    kept = [home.data / ".journal.sqlite.mine", home.data / "notes.txt", run / "report.json"]
    for path in kept:
        path.write_text("words")
    assert sweep_home(home) == len(folders) + len(earlier) + 1
    assert not any((folder / LEFT).exists() for folder in folders)
    assert not any(path.exists() for path in earlier)
    assert all(path.read_text() == "words" for path in kept)
    assert sweep_home(home) == 0


def test_the_next_start_leaves_files_in_use_and_link_targets_alone(home: Home, place: Path) -> None:
    (place / LEFT).mkdir()
    (place / ".journal.sqlite.0a1b2c3d").write_text("theirs")
    home.runs.mkdir(parents=True)
    (home.runs / "linked").symlink_to(place)
    home.adapters.symlink_to(place)
    (home.data / ".journal.sqlite.0a1b2c3d").symlink_to(place / ".journal.sqlite.0a1b2c3d")
    with scratch(home.data) as held:
        assert sweep_home(home) == 0
        assert held.is_dir()
    assert (place / LEFT).is_dir()
    assert (place / ".journal.sqlite.0a1b2c3d").read_text() == "theirs"


def test_a_refused_export_is_not_recorded(home: Home, place: Path) -> None:
    (place / "copy").write_text("theirs")
    with Journal(home.journal) as journal:
        with pytest.raises(HomeError, match="already exists"):
            backup(journal, place / "copy")
        assert journal.exported_copies.noted() == []


def test_a_backup_elsewhere_works_with_a_full_journal_disk(home: Home, place: Path) -> None:
    keep(home)
    with Journal(home.journal) as journal:
        journal.database._connection.execute("pragma max_page_count=1")  # no more pages than it has
        with pytest.raises(HomeError, match="full"):
            for number in range(1000):
                journal.facts.set(f"filler {number}", "x" * 100)
        with pytest.raises(
            HomeError, match="was written and is complete, but `forget` will not list it"
        ):
            backup(journal, place / "copy")
        assert journal.exported_copies.noted() == []
    assert counts(place / "copy") == (1, 1)


def test_a_backup_works_on_a_disk_without_modes_links_and_locks(
    home: Home, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(home)

    def refused(*given: object, **options: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    def without_locks(*given: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("os.chmod", refused)  # vfat's error; few machines can mount one
    monkeypatch.setattr("os.link", refused)
    monkeypatch.setattr("fcntl.flock", without_locks)
    (place / LEFT).mkdir()
    with Journal(home.journal) as journal:
        for force in (False, True):
            backup(journal, place / "copy", force=force)
        write_session(journal, place / "talk.md", "words")
        with pytest.raises(ThreadError, match="already exists"):
            write_session(journal, place / "talk.md", "words")
    assert counts(place / "copy") == (1, 1)
    assert (place / "talk.md").read_text() == "words"
    assert {item.name for item in place.iterdir()} == {"copy", "talk.md", LEFT}  # of unknown origin
