"""A damaged journal: the error names the newest copy, and restoring it works.

SQLite has no page checksums, so a changed byte inside a text is not detected. These tests check that
nothing makes the damage worse, that detected damage is reported, and that a copy can be restored.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from memory.errors import HomeError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.text.stemming import stems
from memory.upkeep.backup import backup
from memory.upkeep.health import check
from tests.support.values import make_difference, make_turn
from tui.cli.main import run

COUNT = 300
Damage = Callable[[Path], object]


@pytest.fixture
def copy(home: Home) -> Path:
    """Back up a journal that has turns and differences."""
    with Journal(home.journal) as journal:
        with journal.transaction():
            for number in range(COUNT):
                journal.turns.add(make_turn(f"question {number}"))
                journal.differences.add(make_difference(f"question {number} " * 9))
        return backup(journal, home.journal.with_name("journal-20261123.sqlite"))


def overwritten(where: float, length: int = 4096) -> Damage:
    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(int(path.stat().st_size * where) // 4096 * 4096)
            file.write(b"\xa5" * length)

    return damage


def cut(share: float) -> Damage:
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def use(path: Path) -> None:
    """Use a journal as a chat does, and read everything in it."""
    with Journal(path) as journal:
        assert len(journal.differences.all()) == COUNT
        assert len(journal.turns.all()) == COUNT
        journal.stems.search(stems("question"), 24)
        journal.differences.add(make_difference())


@pytest.mark.parametrize(
    "damage",
    [
        overwritten(0.0, 100),
        overwritten(0.0, 8192),
        overwritten(0.5, 100_000),
        cut(0.5),
        cut(0.0),
        lambda path: path.write_bytes(b"my shopping list\n" * 999),
        lambda path: path.write_text("x"),
    ],
    ids=["header", "first pages", "middle", "half", "emptied", "other file", "one letter"],
)
def test_damage_is_reported_with_the_newest_copy_which_can_be_restored(
    home: Home, copy: Path, capsys: pytest.CaptureFixture[str], damage: Damage
) -> None:
    damage(home.journal)
    before = home.journal.read_bytes()
    with pytest.raises(HomeError, match="is damaged") as caught:
        use(home.journal)
    said = str(caught.value)
    assert f"discern memory restore {copy}" in said
    assert "\n" not in said
    assert home.journal.read_bytes() == before
    assert run(["memory", "restore", str(copy)]) == 0
    out = capsys.readouterr().out
    assert f"{COUNT} differences" in out
    assert "The previous journal is kept" in out
    use(home.journal)
    (aside,) = home.data.glob("journal.sqlite.aside-*")
    assert aside.read_bytes() == before


def test_damage_anywhere_is_refused_or_found_or_harmless(home: Home, copy: Path) -> None:
    draw = random.Random(11)
    whole = home.journal.read_bytes()
    found = 0
    for _ in range(40):
        for path in home.data.glob("journal.sqlite*"):
            path.unlink()
        spoilt = bytearray(whole)
        start = draw.randrange(len(spoilt) - 600)
        spoilt[start : start + 600] = draw.randbytes(600)
        home.journal.write_bytes(spoilt)
        try:
            use(home.journal)
        except HomeError as error:
            assert str(copy) in str(error)  # noqa: PT017 - not every damage is found here
            found += 1
        except AssertionError:
            with Journal(home.journal) as journal:
                findings = check(home, journal)
            assert [finding for finding in findings if finding.level == "error"]
            found += 1
        else:
            with Journal(home.journal) as journal:
                check(home, journal)
    assert found > 5


def with_log(ending: str, content: bytes | None) -> Damage:
    def damage(path: Path) -> None:
        log = path.with_name(path.name + ending)
        log.write_bytes(content if content is not None else b"")

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        with_log("-wal", b""),
        with_log("-wal", b"no log " * 5000),
        with_log("-shm", b""),
        with_log("-shm", b"\xa5" * 32768),
    ],
    ids=["empty log", "another log", "empty index of the log", "another index of the log"],
)
def test_odd_files_beside_the_journal_do_no_harm(home: Home, copy: Path, damage: Damage) -> None:
    damage(home.journal)
    use(home.journal)
    with Journal(home.journal) as journal:
        assert check(home, journal) == ()


def test_a_folder_at_the_journals_path_is_refused(home: Home) -> None:
    home.journal.mkdir()
    with pytest.raises(HomeError, match="not a regular file"):
        Journal(home.journal)


def test_without_a_copy_the_error_says_how_to_restore_one(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.journal.write_bytes(b"my shopping list\n" * 999)
    assert run(["memory", "list"]) == 2
    err = capsys.readouterr().err
    assert "discern memory restore FILE" in err
    assert "Traceback" not in err
