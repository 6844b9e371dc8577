"""Fixtures of the tests of untrusted input."""

from __future__ import annotations

import io

import pytest

from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.support.values import make_difference, make_turn


@pytest.fixture
def kept(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with a turn and a difference in it, and no standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with Journal(home.journal) as journal:
        journal.turns.add(make_turn())
        journal.differences.add(make_difference())
    return home
