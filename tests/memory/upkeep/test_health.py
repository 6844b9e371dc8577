"""Integrity checks of the memory, on real files with real damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.upkeep.health import _circle, check
from tests.support.values import make_difference, make_turn


@pytest.fixture
def journal(home: Home) -> Iterator[Journal]:
    with Journal(home.journal) as journal:
        journal.turns.add(make_turn())
        for asked in ("What is the capital of Zubrowka?", "Как зовут кота?"):
            journal.differences.add(make_difference(asked))
        yield journal


def test_an_intact_memory_has_no_findings(home: Home, journal: Journal) -> None:
    assert check(home, journal) == ()


@pytest.mark.parametrize(
    ("damage", "level", "said"),
    [
        ("update differences set at = 'yesterday' where seq = 1", "error", "1 row cannot be read"),
        ("update differences set before = '[' where seq = 2", "error", "1 row cannot be read"),
        (
            f"update differences set before = '{'[' * 100_000}' where seq = 2",
            "error",
            "1 row cannot be read",
        ),
        (
            f"update differences set span = '[{'9' * 5_000}]' where seq = 2",
            "error",
            "1 row cannot be read",
        ),
        (
            "update differences set span = '[2, 9, \"I\"]' where seq = 1",
            "warning",
            "does not match its quote",
        ),
        ("insert into versions values ('nobody', 1, '{}')", "warning", "1 older version without"),
        (
            "update differences set superseded_by = 'nobody' where seq = 1",
            "warning",
            "superseded by a missing one",
        ),
        (
            "update differences set superseded_by = (select id from differences where seq = 3 - d.seq)"
            " from differences as d where d.id = differences.id",
            "error",
            "in a cycle",
        ),
        (
            "delete from stems where rowid = 1",
            "warning",
            "1 difference missing from the keyword index",
        ),
        (
            "insert into stems (rowid, asked) values (9, 'x')",
            "warning",
            "contains 1 unknown difference",
        ),
        (
            "insert into quarantine (batch, at, source, body) values ('1', '', '', '{}')",
            "note",
            "1 imported difference in 1 batch waiting",
        ),
    ],
)
def test_every_problem_is_one_finding(
    home: Home, journal: Journal, damage: str, level: str, said: str
) -> None:
    with journal.transaction() as connection:
        connection.execute(damage)
    (finding,) = check(home, journal)
    assert finding.level == level
    assert said in finding.sentence


def test_readable_rows_are_checked_beside_unreadable_ones(home: Home, journal: Journal) -> None:
    with journal.transaction() as connection:
        connection.execute("update differences set moment = 'nonsense' where seq = 1")
    broken = journal.database.rows("select id from differences where seq = 1")[0]["id"]
    (finding,) = check(home, journal)
    assert finding.sentence == f"1 row cannot be read: {broken}"


def test_overwritten_bytes_are_found(home: Home) -> None:
    with Journal(home.journal) as journal:
        for number in range(300):
            journal.differences.add(make_difference(f"question {number} " * 20))
    size = home.journal.stat().st_size
    with home.journal.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xa5" * 8192)
    with Journal(home.journal) as journal:
        found = check(home, journal)
    assert found[0].level == "error"
    assert "is damaged" in found[0].sentence
    assert "discern memory restore" in found[0].mend + found[0].sentence


def test_a_log_kept_by_a_long_reader_is_reported(home: Home, journal: Journal) -> None:
    reader = sqlite3.connect(home.journal)
    reader.execute("begin")
    reader.execute("select * from turns").fetchone()
    with journal.transaction() as connection:
        connection.execute("create table big (x)")
        connection.execute("insert into big values (zeroblob(70000000))")
    found = check(home, journal)
    reader.close()
    assert any("another process keeps it open" in item.sentence for item in found)


def test_a_long_chain_is_checked_for_circles_step_by_step() -> None:
    compared = 0

    class Id(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return super().__eq__(other)

    def chain(length: int, *, closed: bool) -> dict[str, str]:
        after: dict[str, str] = {Id(here): Id(here + 1) for here in range(length)}
        return after | ({Id(length): Id(length - 2)} if closed else {})

    assert _circle(chain(1000, closed=False)) == []
    assert _circle(chain(1000, closed=True)) == ["998", "999", "1000"]
    assert compared < 20_000
