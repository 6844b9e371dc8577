"""Turns know which turn they follow: branches, siblings, and both after forgetting."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from memory.difference import Turn, new_id, now
from memory.errors import UnknownIdError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.memory.journal.old_journals import write_version_1


@pytest.fixture
def journal(home: Home) -> Iterator[Journal]:
    with Journal(home.journal) as journal:
        yield journal


def said(journal: Journal, asked: str, after: str | None = None, thread: str = "t") -> str:
    turn = Turn(new_id(), thread, now(), asked, f"reply to {asked}", "m")
    journal.turns.add(turn, after=after)
    return turn.id


def words(journal: Journal, **options: object) -> list[str]:
    return [turn.asked for turn in journal.branches.current("t", **options)]  # type: ignore[arg-type]


def test_a_turn_follows_the_head_of_its_thread(journal: Journal) -> None:
    first = said(journal, "one")
    said(journal, "elsewhere", thread="other")
    second = said(journal, "two")
    assert journal.turns.parent(second) == first
    assert journal.turns.parent(first) == ""
    assert words(journal) == ["one", "two"]
    assert journal.turns.head("t") == second
    assert journal.branches.siblings([first, second]) == {}


def test_an_edited_message_starts_a_branch_and_both_can_be_chosen(
    journal: Journal,
) -> None:
    first = said(journal, "one")
    old = said(journal, "two")
    said(journal, "three")
    new = said(journal, "two, otherwise", after=first)
    assert words(journal) == ["one", "two, otherwise"]
    beside = journal.branches.siblings([first, new])
    assert set(beside) == {new}
    assert str(beside[new]) == "2/2"
    assert beside[new].beside(-1) == old
    assert beside[new].beside(1) is None
    journal.branches.choose(old)
    assert words(journal) == ["one", "two", "three"]
    assert words(journal, limit=2) == ["two", "three"]
    assert words(journal, before=old) == ["one"]
    said(journal, "four")
    assert words(journal) == ["one", "two", "three", "four"]


def test_the_first_message_of_a_thread_can_be_edited(journal: Journal) -> None:
    one = said(journal, "one")
    said(journal, "elsewhere", thread="other")
    other = said(journal, "otherwise", after="")
    assert words(journal) == ["otherwise"]
    assert journal.branches.siblings([other])[other].turns == (one, other)


def test_the_chosen_branch_survives_closing(home: Home) -> None:
    with Journal(home.journal) as journal:
        one = said(journal, "one")
        said(journal, "otherwise", after="")
        journal.branches.choose(one)
    with Journal(home.journal) as journal:
        assert words(journal) == ["one"]


def test_the_context_of_a_mark_is_of_its_own_branch(journal: Journal) -> None:
    first = said(journal, "one")
    said(journal, "two")
    new = said(journal, "two, otherwise", after=first)
    assert [message.content for message in journal.turns.before(journal.turns.get(new))] == [
        "one",
        "reply to one",
    ]


def test_deleting_a_turn_keeps_the_branch_connected(journal: Journal) -> None:
    said(journal, "one")
    second = said(journal, "two")
    third = said(journal, "three")
    with journal.transaction() as connection:
        connection.execute("delete from turns where id = ?", (second,))
    assert words(journal) == ["one", "three"]
    with journal.transaction() as connection:
        connection.execute("delete from turns where id = ?", (third,))
    assert words(journal) == ["one"]
    said(journal, "four")
    assert words(journal) == ["one", "four"]


def test_a_branch_of_a_forgotten_turn_cannot_be_chosen(journal: Journal) -> None:
    with pytest.raises(UnknownIdError, match="may have been forgotten"):
        journal.branches.choose("nothing")


def test_the_turns_of_an_old_journal_follow_each_other(home: Home) -> None:
    write_version_1(home.journal, 5)
    with Journal(home.journal) as journal:
        by_thread = {turn.thread for turn in journal.turns.all()}
        for thread in by_thread:
            assert journal.branches.current(thread) == journal.turns.in_thread(thread)
    with closing(sqlite3.connect(home.journal)) as connection:
        assert connection.execute("pragma quick_check").fetchone()[0] == "ok"


def test_the_end_of_a_long_thread_is_read_without_the_rest(journal: Journal) -> None:
    with journal.transaction():
        for number in range(3000):
            said(journal, str(number))
    assert words(journal, limit=2) == ["2998", "2999"]
    assert len(journal.branches.current("t")) == 3000
