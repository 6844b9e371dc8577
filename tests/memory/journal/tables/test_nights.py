"""The record of nights: claimed once, taken over, and read back with typed fields."""

from __future__ import annotations

from datetime import timedelta

from memory.difference import now
from memory.journal.journal import Journal
from memory.sentence import Sentence
from memory.settings.paths import Home


def test_a_night_is_claimed_once_and_taken_over_without_a_heartbeat(home: Home) -> None:
    day = "2026-11-23"
    with Journal(home.journal) as one, Journal(home.journal) as two:
        assert one.nights.claim(day, "one", stale_after=60, attempts=3) == 1
        assert two.nights.claim(day, "two", stale_after=60, attempts=3) == 0
        assert two.nights.claim(day, "two", stale_after=0, attempts=3) == 2
        assert not one.nights.heartbeat(day, "one")
        assert two.nights.heartbeat(day, "two")
        assert one.nights.claim(day, "one", stale_after=0, attempts=2) == 0
        assert one.nights.latest()[0].state == "failed"


def test_a_night_has_its_outcome_once_it_has_ended(home: Home) -> None:
    day, outcome = "2026-11-23", Sentence("Learned {n} lesson.", "Learned {n} lessons.", n=2)
    with Journal(home.journal) as journal:
        journal.nights.claim(day, "here:1:2", stale_after=60, attempts=3)
        [night] = journal.nights.latest()
        assert (night.day, night.state, night.attempt, night.host) == (day, "running", 1, "here")
        assert night.outcome is None
        assert now() - night.started < timedelta(minutes=1)
        journal.nights.end(day, "here:1:2", "published", outcome)
        [night] = journal.nights.latest()
    assert (night.state, night.outcome) == ("published", outcome)
    assert night.beat >= night.started
