"""The manner marks: as many as promised, consistent with their rules, and without shared prompts."""

from __future__ import annotations

from collections import Counter

from benchmarks.manner import manner_marks
from memory.difference import MarkScope
from memory.reply_rules import stated_rules


def test_the_marks_are_consistent() -> None:
    marks = manner_marks()
    assert len(marks) == 24
    assert set(Counter(mark.group for mark in marks).values()) == {3}
    prompts = [text for mark in marks for text in (*mark.inside, *mark.outside)]
    assert len(prompts) == len(set(prompts)) == 480
    assert not {mark.difference.asked for mark in marks} & set(prompts)
    for mark in marks:
        assert mark.kept_by(mark.difference.contrast.sounds or ""), mark.name
        assert not mark.kept_by(mark.difference.replied), mark.name
        assert (mark.difference.condition is None) == (mark.difference.scope is not MarkScope.WHEN)


def test_no_note_states_another_rule_than_the_marks_own() -> None:
    """A rule is never guessed: what a note says outright is among the rules of its mark."""
    for mark in manner_marks():
        assert set(stated_rules(mark.difference.note or "")) <= set(mark.rules), mark.name
