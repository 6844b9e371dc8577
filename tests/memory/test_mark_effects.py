"""Marks that teach nothing, contradict each other, or name something that does not exist."""

from __future__ import annotations

import pytest

from memory.difference import Moment, State, Turn, Untaught, new_id, now
from memory.errors import MarkError
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.moments import find_moment, require_moment
from trainer.lessons.reply_spans import expected_reply

REPLY = "Paris is the capital. It lies on the Seine."


def said(memory: Memory, replied: str = REPLY) -> Turn:
    turn = Turn(new_id(), "t", now(), "What is the capital?", replied, "m", None)
    memory.journal.turns.add(turn)
    return turn


def test_contradicting_marks_on_a_reply_replace_each_other(memory: Memory) -> None:
    turn = said(memory)
    wrong = memory.mark(turn, MarkRequest("error", sounds="Lutz."))
    good = memory.mark(turn, MarkRequest("hold"))
    assert memory.journal.differences.get(wrong.id).superseded_by == good.id
    again = memory.mark(turn, MarkRequest("error"))
    assert memory.journal.differences.get(good.id).superseded_by == again.id
    teaching = [item.id for item in memory.journal.differences.all() if item.teaches]
    assert teaching == []  # the newest says that it is wrong but gives no better reply
    memory.undo(again.id)
    assert memory.journal.differences.get(good.id).teaches


def test_an_edit_that_contradicts_another_mark_replaces_it(memory: Memory) -> None:
    turn = said(memory)
    good, smooth = (
        memory.mark(turn, MarkRequest("hold")),
        memory.mark(turn, MarkRequest("surprise", note="too smooth")),
    )
    assert memory.journal.differences.get(good.id).superseded_by is None
    memory.edit(smooth.id, moment="error")
    assert memory.journal.differences.get(good.id).superseded_by == smooth.id


def test_different_parts_of_a_reply_may_be_good_and_wrong(
    memory: Memory,
) -> None:
    turn = said(memory)
    wrong = memory.mark(turn, MarkRequest("error", sounds="Lutz", quote="Paris"))
    good = memory.mark(turn, MarkRequest("hold", quote="It lies on the Seine."))
    assert memory.journal.differences.get(wrong.id).teaches
    assert good.teaches
    assert expected_reply(good, [wrong]) == "Lutz is the capital. It lies on the Seine."
    over = memory.mark(turn, MarkRequest("hold", quote="Paris is"))
    assert memory.journal.differences.get(wrong.id).superseded_by == over.id


def test_marks_that_agree_are_all_kept(memory: Memory) -> None:
    turn = said(memory)
    for moment in ("error", "surprise", "error"):
        memory.mark(turn, MarkRequest(moment, sounds="Lutz."))
    assert all(item.teaches for item in memory.journal.differences.all())


def test_a_hold_on_an_empty_reply_teaches_nothing(memory: Memory) -> None:
    empty = memory.mark(said(memory, " "), MarkRequest("hold"))
    assert (empty.untaught, empty.teaches, empty.state) == (Untaught.EMPTY, False, State.BARE)


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        ({"moment": "hold", "sounds": "Lutz."}, "hold keeps the reply as it is"),
        ({"moment": "error", "sounds": "Paris", "quote": "Paris"}, "the same as the marked part"),
        ({"moment": "error", "sounds": "x", "quote": " "}, "no visible character"),
        ({"moment": "error", "sounds": "x", "quote": "\u200b"}, "no visible character"),
        ({"moment": "eror"}, "'eror' is not a moment; did you mean error?"),
        ({"moment": "sad"}, "use error, surprise or hold"),
        ({"moment": "error", "kind": "tactical/facts"}, "did you mean tactical/fact?"),
    ],
)
def test_marks_that_cannot_teach_are_refused_with_the_reason(
    memory: Memory, mark: dict[str, str], why: str
) -> None:
    with pytest.raises(MarkError, match=why.replace("?", r"\?")):
        memory.mark(said(memory), MarkRequest(**mark))  # type: ignore[arg-type]
    assert memory.journal.differences.all() == []


def test_an_edit_to_hold_that_leaves_a_better_answer_is_refused(memory: Memory) -> None:
    item = memory.mark(said(memory), MarkRequest("error", sounds="Lutz."))
    with pytest.raises(MarkError, match="hold keeps the reply as it is"):
        memory.edit(item.id, moment="hold")
    assert memory.edit(item.id, moment="hold", sounds="").moment is Moment.HOLD


def test_moments_are_known_in_both_languages_and_any_case() -> None:
    assert find_moment("ERROR:") is Moment.ERROR
    assert require_moment("Ошибка") is Moment.ERROR
    assert find_moment("terror") is None
    assert find_moment("old") is None
