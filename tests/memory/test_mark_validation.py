"""Editing, pinning and superseding existing marks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memory.difference import Message, Moment, State
from memory.errors import MarkError, UnknownIdError
from memory.mark_validation import MarkRequest, make_mark
from memory.memory import Memory
from memory.reply_rules import rules_of
from tests.support.values import make_turn


def test_an_edit_is_a_new_version_that_waits_to_be_trained(memory: Memory) -> None:
    item = memory.mark(make_turn(), MarkRequest("error", sounds="Lutz.", note="n"))
    memory.journal.differences.set_states({item.id: State.TRAINED})
    new = memory.edit(item.id[:8], sounds="Nebelsbad.", missed="old and new")
    assert new == memory.journal.differences.get(item.id)
    assert (new.version, new.state, new.note) == (2, State.WAITING, "n")
    assert new.edited is not None
    assert new.fingerprint != item.fingerprint
    old, present = memory.history(item.id)
    assert present == new
    assert (old.version, old.contrast.sounds, old.contrast.missed) == (1, "Lutz.", None)


def test_a_kind_or_note_needs_no_new_training(memory: Memory) -> None:
    item = memory.mark(make_turn(), MarkRequest("error", sounds="Lutz."))
    memory.journal.differences.set_states({item.id: State.TRAINED})
    assert memory.edit(item.id, kind="fact", note="seen").state is State.TRAINED
    assert memory.edit(item.id, moment="hold", sounds="").state is State.WAITING


def test_removing_the_contrast_leaves_a_bare_mark(memory: Memory) -> None:
    item = memory.mark(make_turn(), MarkRequest("error", sounds="Lutz."))
    assert memory.edit(item.id, sounds="").state is State.BARE
    assert memory.edit(item.id, lost="the city").state is State.WAITING


def test_an_edit_without_changes_creates_no_version(memory: Memory) -> None:
    item = memory.mark(make_turn(), MarkRequest("error", sounds="Lutz."))
    assert memory.edit(item.id, sounds="Lutz.", note=" ") == item
    assert memory.history(item.id) == [item]
    assert memory.edit(item.id, sounds=" Lutz. ").contrast.sounds == " Lutz. "  # as it was written


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sounds": "Because."}, "the same as the reply"),
        ({"kind": "tacticle"}, "did you mean tactical"),
        ({"moment": "sad"}, "is not a moment"),
        ({"missed": "x" * 20_001}, "20,001 characters"),
        ({"note": "\ud800"}, "invalid character"),
    ],
)
def test_an_edit_is_refused_as_a_mark_would_be(
    memory: Memory, change: dict[str, str], said: str
) -> None:
    item = memory.mark(make_turn(), MarkRequest("error", sounds="Lutz."))
    with pytest.raises(MarkError, match=said):
        memory.edit(item.id, **change)
    assert memory.history(item.id) == [item]


def test_a_mark_stores_the_conversation_before_it_and_its_surprisal(memory: Memory) -> None:
    for number in range(3):
        memory.journal.turns.add(make_turn(f"question {number}"))
    memory.journal.turns.add(make_turn("elsewhere", thread="other"))
    turn = replace(make_turn("Why?"), surprisal=(1.0, 2.0))
    memory.journal.turns.add(turn)
    after = replace(make_turn("No!"), asked_surprisal=4.5)
    memory.journal.turns.add(after)
    item = memory.mark(turn, MarkRequest("error", sounds="Lutz.", system="Be brief."))
    assert item.before[0] == Message("system", "Be brief.")
    assert [message.content for message in item.before[1::2]] == [f"question {n}" for n in range(3)]
    assert {message.content for message in item.before[2::2]} == {"Because."}
    assert (item.surprisal, item.next_surprisal) == (1.5, 4.5)
    assert memory.journal.differences.get(item.id) == item


def test_the_surprisal_of_the_next_message_is_added_later(memory: Memory) -> None:
    turn = make_turn()
    memory.journal.turns.add(turn)
    item = memory.mark(turn, MarkRequest("error", sounds="Lutz."))
    assert item.next_surprisal is None
    memory.journal.differences.set_next_surprisal(turn.id, 3.25)
    assert memory.journal.differences.get(item.id).next_surprisal == 3.25


def test_the_latest_turns_of_a_long_conversation_are_stored(memory: Memory) -> None:
    for number in range(9):
        memory.journal.turns.add(make_turn(f"{number} " + "long " * 400))
    turn = make_turn()
    memory.journal.turns.add(turn)
    before = memory.mark(turn, MarkRequest("surprise")).before
    assert 2 <= len(before) < 18
    assert before[0].role == "user"
    assert before[-2].content.startswith("8 ")
    assert sum(len(message.content) for message in before) <= 8_000


def test_superseded_differences_are_listed_but_neither_recalled_nor_counted(memory: Memory) -> None:
    old = memory.mark(
        make_turn("What is the capital of Zubrowka?"), MarkRequest("error", sounds="Lutz.")
    )
    new = memory.mark(
        make_turn("Zubrowka and its capital?"), MarkRequest("error", sounds="Nebelsbad.")
    )
    assert memory.journal.differences.count(State.WAITING) == 2
    gone = memory.supersede(old.id[:8], new.id[:8])
    assert gone.superseded_by == new.id
    assert not gone.teaches
    assert memory.journal.differences.all() == [gone, new]
    assert memory.journal.differences.count(State.WAITING) == 1
    found = memory.search("What is the capital of Zubrowka?", limit=9)
    assert [item.difference for item in found] == [new]


def test_a_difference_cannot_supersede_itself_even_in_a_circle(memory: Memory) -> None:
    one, two, three = (
        memory.mark(make_turn(), MarkRequest("error", sounds=str(n))) for n in range(3)
    )
    with pytest.raises(MarkError, match="cannot supersede itself"):
        memory.supersede(one.id, one.id)
    memory.supersede(one.id, two.id)
    memory.supersede(two.id, three.id)
    with pytest.raises(MarkError, match="cannot supersede each other"):
        memory.supersede(three.id, one.id)
    with pytest.raises(UnknownIdError):
        memory.supersede(one.id, "nothing")


def test_pins_and_uses_create_no_versions(memory: Memory) -> None:
    item = memory.mark(make_turn(), MarkRequest(Moment.HOLD))
    assert memory.pin(item.id).pinned
    assert memory.journal.differences.get(item.id).pinned
    assert not memory.pin(item.id, False).pinned
    memory.note_recalled([item.id, "unknown"])
    memory.note_recalled([item.id])
    kept = memory.journal.differences.get(item.id)
    assert (kept.recalled, kept.version, kept.fingerprint) == (2, 1, item.fingerprint)


def test_every_kind_of_change_increases_the_change_count(memory: Memory) -> None:
    seen = [memory.journal.differences.change_count()]
    item = memory.mark(make_turn(), MarkRequest("error", sounds="Lutz."))
    for change in (
        lambda: memory.edit(item.id, sounds="Nebelsbad."),
        lambda: memory.pin(item.id),
        lambda: memory.journal.differences.set_states({item.id: State.TRAINED}),
        lambda: memory.undo(item.id),
    ):
        seen.append(memory.journal.differences.change_count())
        change()
    seen.append(memory.journal.differences.change_count())
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scope": "sometimes"}, "there is no scope named 'sometimes'"),
        ({"scope": "when"}, "the scope needs a condition"),
        ({"condition": "  "}, "the scope needs a condition"),
        ({"scope": "here", "condition": "I ask"}, "does not go with the scope here"),
        ({"condition": "x" * 201}, "has 201 characters and may have at most 200"),
        ({"condition": "\ud800"}, "the condition contains an invalid character"),
        ({"scope": "everywhere", "note": ""}, "must say how to reply"),
        ({"scope": "topic", "moment": "hold"}, "a hold keeps one reply"),
    ],
)
def test_a_scope_that_means_nothing_is_refused(given: dict[str, Any], words: str) -> None:
    request = MarkRequest(**{"moment": "surprise", "note": "Be brief.", **given})
    with pytest.raises(MarkError, match=words):
        make_mark(make_turn(), request, said=(), next_surprisal=None)


def test_rules_are_kept_in_their_usual_form_and_can_be_changed_and_cleared(memory: Memory) -> None:
    turn = make_turn()
    memory.journal.turns.add(turn)
    request = MarkRequest(
        "surprise", scope="everywhere", rules="At most 40  words\nno lists\nat most 40 words"
    )
    item = memory.mark(turn, request)
    assert item.rules == ("at most 40 words", "no lists")
    assert memory.journal.differences.get(item.id).rules == item.rules
    with pytest.raises(MarkError, match="“be nice” is not a rule"):
        memory.edit(item.id, rules="be nice")
    assert memory.edit(item.id, rules="metric units").rules == ("metric units",)
    assert memory.edit(item.id, note="Answer in one sentence.", rules="").rules == ()
    assert rules_of(memory.journal.differences.get(item.id)) == ()


def test_without_rules_of_their_own_marks_have_those_that_the_note_states(memory: Memory) -> None:
    turn = make_turn()
    memory.journal.turns.add(turn)
    item = memory.mark(
        turn, MarkRequest("surprise", scope="everywhere", note="Answer in one sentence.")
    )
    assert item.rules is None
    assert [str(rule) for rule in rules_of(item)] == ["at most 1 sentence"]


def test_too_many_rules_are_refused(memory: Memory) -> None:
    turn = make_turn()
    memory.journal.turns.add(turn)
    lines = "\n".join(f"at most {n} words" for n in range(1, 22))
    with pytest.raises(MarkError, match="a mark has 21 rules and may have at most 20"):
        memory.mark(turn, MarkRequest("surprise", note="x", rules=lines))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rules": "no lists", "note": "x"}, "a rule is about more than one question"),
        (
            {"rules": "says: \udcff", "scope": "everywhere"},
            "the rule contains an invalid character",
        ),
        ({"rules": " ", "scope": "everywhere"}, "must say how to reply; add a note, rule:"),
    ],
)
def test_rules_that_cannot_be_used_are_refused(
    memory: Memory, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(MarkError, match=words):
        memory.mark(make_turn(), MarkRequest("surprise", **given))
    assert memory.journal.differences.all() == []


def test_a_mark_shows_what_it_wants_even_if_that_is_only_a_rule(memory: Memory) -> None:
    request = MarkRequest("surprise", scope="everywhere", rules="no lists\nno emoji")
    assert memory.mark(make_turn(), request).wanted == "no lists; no emoji"
