"""What a receipt says: the marked question, what it replaced, and when it will be trained."""

from __future__ import annotations

from agent.chat.marking.receipt import receipt, why_untaught
from memory.difference import Difference, Turn, new_id, now
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.settings import Settings

ASKED = "What is the capital of Zubrowka,\nand why?"


def said(memory: Memory, replied: str = "Paris.") -> Turn:
    turn = Turn(new_id(), "t", now(), ASKED, replied, "m", None)
    memory.journal.turns.add(turn)
    return turn


def of(memory: Memory, item: Difference, settings: Settings, *, typed: bool = True) -> str:
    return receipt(memory.journal, item, settings, typed=typed)


def test_a_receipt_names_the_marked_question(memory: Memory, settings: Settings) -> None:
    text = of(memory, memory.mark(said(memory), MarkRequest("error", sounds="Lutz.")), settings)
    assert "for “What is the capital of Zubrowka, and why?”." in text
    assert "recalled from now on; training runs tonight at" in text


def test_a_receipt_says_what_was_replaced(memory: Memory, settings: Settings) -> None:
    turn = said(memory)
    older = memory.mark(turn, MarkRequest("error", sounds="Lutz."))
    text = of(memory, memory.mark(turn, MarkRequest("hold")), settings)
    assert f"It replaces {older.id[:8]}, which marked the same reply as error." in text


def test_a_receipt_says_why_nothing_will_be_trained(memory: Memory, settings: Settings) -> None:
    empty = memory.mark(said(memory, ""), MarkRequest("hold"))
    assert of(memory, empty, settings).endswith(
        "It will not be trained on: the reply is empty, so there is nothing to keep."
    )
    assert why_untaught(empty) == "the reply is empty, so there is nothing to keep"


def test_the_receipt_of_a_bare_mark_says_how_to_train_it(
    memory: Memory, settings: Settings
) -> None:
    bare = memory.mark(said(memory), MarkRequest("error"))
    assert "add the better answer (/contrast)" in of(memory, bare, settings)
    command = f"`discern memory edit {bare.id[:8]} --sounds`"
    assert command in of(memory, bare, settings, typed=False)
