"""Parsing of the arguments of `/diff`."""

from __future__ import annotations

import pytest

from agent.chat.marking.diff_syntax import parse_mark
from memory.difference import Moment
from memory.errors import MarkError
from memory.mark_validation import MarkRequest


@pytest.mark.parametrize(
    ("text", "moment", "kind", "note", "sounds"),
    [
        ("", Moment.SURPRISE, None, None, None),
        ("error", Moment.ERROR, None, None, None),
        ("error => Lutz.", Moment.ERROR, None, None, "Lutz."),
        ("=> Lutz.", Moment.ERROR, None, None, "Lutz."),
        ("error tactical too long => Short.", Moment.ERROR, "tactical", "too long", "Short."),
        ("surprise tactical/length", Moment.SURPRISE, "tactical/length", None, None),
        ("error length => a => b", Moment.ERROR, "tactical/length", None, "a => b"),
        ("error time is wrong", Moment.ERROR, None, "time is wrong", None),
        ("too smooth", Moment.SURPRISE, None, "too smooth", None),
        ("hold", Moment.HOLD, None, None, None),
        ("ошибка тон => Иначе.", Moment.ERROR, "semantic/tone", None, "Иначе."),
        ("error =>", Moment.ERROR, None, None, ""),
        ("tactical/fact", Moment.ERROR, "tactical/fact", None, None),
        ("the fact is wrong", Moment.ERROR, None, "the fact is wrong", None),
        ("факт неверен", Moment.ERROR, None, "факт неверен", None),
        ("nothing wrong, too smooth", Moment.SURPRISE, None, "nothing wrong, too smooth", None),
        ("error: too long", Moment.ERROR, None, "too long", None),
        ('"errors" again', Moment.SURPRISE, None, '"errors" again', None),
        ('surprise "tactcal moves"', Moment.SURPRISE, None, "tactcal moves", None),
        ("and/or is missing", Moment.SURPRISE, None, "and/or is missing", None),
        ("it should be 1/2", Moment.SURPRISE, None, "it should be 1/2", None),
        ("неожиданность", Moment.SURPRISE, None, None, None),
        ("удачно", Moment.HOLD, None, None, None),
    ],
)
def test_a_typed_mark_is_understood(
    text: str, moment: Moment, kind: str | None, note: str | None, sounds: str | None
) -> None:
    read = parse_mark(text)
    assert read == MarkRequest(moment, kind=kind, note=note, sounds=sounds)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("eror", "'eror' is not a moment; did you mean error?"),
        ("eror => Lutz.", "did you mean error?"),
        ("Erorr too long", "did you mean error?"),
        ("suprise tone", "did you mean surprise?"),
        ("hodl", "did you mean hold?"),
        ("ошбика", "did you mean ошибка?"),
        ("tactical/facts", "did you mean tactical/fact?"),
        ("error tactical/facts => Lutz.", "did you mean tactical/fact?"),
        ("error tactic/fact", "did you mean tactical/fact?"),
        ("error tactcal too long", "did you mean tactical?"),
        ("error facts", "did you mean fact?"),
        ("error smoothnes", "did you mean smoothness?"),
        ("ошибка тактическое/факты", "did you mean тактическое/факт?"),
        ("error -> Lutz.", "use => before the better answer, not ->"),
        ("error fact → Lutz.", "use => before the better answer, not →"),
    ],
)
def test_a_misspelt_moment_or_kind_gets_a_suggestion(text: str, said: str) -> None:
    with pytest.raises(MarkError) as raised:
        parse_mark(text)
    assert said in str(raised.value)


def test_the_contrast_lines_can_be_typed() -> None:
    read = parse_mark("error tactical wrong field missed: the order lost: the tone => Yes.")
    assert (read.note, read.missed, read.lost) == ("wrong field", "the order", "the tone")


@pytest.mark.parametrize(
    ("text", "scope", "condition", "rest"),
    [
        ("scope:everywhere Be brief.", "everywhere", None, ("Be brief.", None)),
        ("length scope:topic => Short.", "topic", None, (None, "Short.")),
        ("surprise Too long scope:EVERYWHERE", "EVERYWHERE", None, ("Too long", None)),
        ("No comments when: I ask for code", None, "I ask for code", ("No comments", None)),
        ("when: I ask for code => x = 1", None, "I ask for code", (None, "x = 1")),
        ('"scope:everywhere"', None, None, ("scope:everywhere", None)),
        ("microscope:4 is wrong", None, None, ("microscope:4 is wrong", None)),
    ],
)
def test_a_scope_or_a_condition_says_which_replies_are_meant(
    text: str, scope: str | None, condition: str | None, rest: tuple[str | None, str | None]
) -> None:
    request = parse_mark(text)
    assert (request.scope, request.condition) == (scope, condition)
    assert (request.note, request.sounds) == rest


def test_rules_can_be_typed_several_times() -> None:
    request = parse_mark("scope:everywhere Brief rule: at most 40 words rule: no lists => Yes.")
    assert (request.note, request.rules) == ("Brief", "at most 40 words\nno lists")
    assert request.sounds == "Yes."
    assert parse_mark("scope:everywhere Brief").rules is None


def test_a_scope_does_not_hide_a_kind() -> None:
    request = parse_mark("length scope:everywhere => Short.")
    assert request.kind is not None
    assert request.kind.endswith("/length")
