"""Marking with keys: the picker, parts of a reply, marks on a streaming reply."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory.difference import MarkScope, Moment
from memory.kinds import kinds
from memory.mark_validation import MarkRequest
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.tui.seat import Seat, sitting
from tui.widgets.marking.mark_gesture import MarkGesture, Passage, find_in_source
from tui.widgets.marking.mark_picker import MarkPicker

QUESTION = "What is the capital of Zubrowka?"


async def picking(seat: Seat, *keys: str) -> None:
    """Press keys and wait for the picker."""
    await seat.pilot.press(*keys)
    await seat.until(lambda: seat.screen.query(MarkPicker))
    await seat.pilot.pause()


async def test_a_mark_takes_four_keystrokes(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(QUESTION)
        await picking(seat, "alt+d")
        await seat.sees("1 semantic", "4 tactical", "Enter skip")
        first = seat.screen.transcript.turns[0]
        assert first.turn is not None
        assert first.turn.replied in " ".join(seat.shown.split())
        await seat.pilot.press("4")
        await seat.sees("3 fact")
        await seat.pilot.press("3", "enter")
        await seat.sees("✓ Saved as error (tactical/fact)", "undo")
        assert not seat.screen.query(MarkPicker)
        assert seat.screen.composer.has_focus
        item = seat.screen.chat.journal.differences.all()[0]
        assert (item.kind, item.moment) == ("tactical/fact", Moment.ERROR)


async def test_a_selected_earlier_reply_is_marked_with_a_better_answer(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(QUESTION)
        await seat.asks("What is 2 + 3?")
        await picking(seat, "alt+up", "alt+up", "d")
        await seat.pilot.press("h", "e", "enter", *"Lutz.", "tab", *"city", "enter")
        await seat.sees("✓ Saved as error")
        item = seat.screen.chat.journal.differences.all()[0]
        first, second = seat.screen.transcript.turns
        assert first.turn is not None
        assert item.turn == first.turn.id
        assert (item.contrast.sounds, item.note, item.kind) == ("Lutz.", "city", None)
        assert first.sign
        assert not second.sign


async def test_words_typed_right_after_the_digits_are_kept(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(QUESTION)
        await seat.pilot.press("alt+up")
        for key in ("d", "e", "1", "2", *"Lutz,is"):
            seat.app.simulate_key(key)  # all at once, before the screen has handled one
        await seat.pilot.pause()
        await seat.until(lambda: seat.screen.query_one(MarkPicker).lines[0].text == "Lutz,is")
        await seat.pilot.press("enter")
        await seat.sees("Saved as error (semantic/register)")
        item = seat.screen.chat.journal.differences.all()[0]
        assert item.contrast.sounds == "Lutz,is"
        assert seat.draft == ""
        await seat.pilot.press("alt+up")
        await seat.sees("v part · u undo · c contrast · w why")


async def test_escape_cancels_marking_at_every_step(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(QUESTION)
        await seat.pilot.press("alt+up")
        await seat.hits("d", "4", "3", "escape")  # as fast as possible
        await seat.until(lambda: seat.screen.composer.has_focus)
        for keys in ((), ("4",), ("4", "3"), ("4", "3", "x", "tab", "y")):
            await picking(seat, "alt+d")
            await seat.pilot.press(*keys, "escape")
            await seat.until(lambda: not seat.screen.query(MarkPicker))
            assert seat.screen.chat.journal.differences.all() == []
            assert seat.draft == ""
            assert seat.screen.composer.has_focus


async def test_backspace_goes_back_and_a_slash_switches_to_a_command_line(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(QUESTION)
        await picking(seat, "alt+d")
        await seat.pilot.press("4", "backspace")
        await seat.sees("1 semantic")
        await seat.pilot.press("/")
        await seat.sees("◆ marking:")
        assert seat.draft == "/diff "


@pytest.mark.slow
async def test_a_refused_mark_keeps_the_picker_open_with_its_text(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(QUESTION)
        turn = seat.screen.transcript.turns[0].turn
        assert turn is not None
        await picking(seat, "alt+d")
        await seat.pilot.press("enter", *turn.replied, "enter")
        await seat.sees("the same as the reply")
        assert seat.screen.query(MarkPicker)


async def test_a_refusal_disappears_when_the_mark_is_accepted(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(QUESTION)
        await seat.types("/diff scope:everywhere rule: be nice")
        await seat.sees("is not a rule")
        seat.screen.composer.write("")
        await seat.types("/diff scope:everywhere rule: no lists")
        await seat.sees("Saved as surprise", "kept: no lists")
        assert "is not a rule" not in seat.shown


async def test_a_streaming_reply_is_marked_when_it_has_ended(home: Home, tiny: Path) -> None:
    endless = read_settings(
        home,
        {
            "model": {"path": str(tiny), "context": 8192},
            "sampling": {"temperature": 0.0, "max_tokens": 8000},
            "memory": {"dense": False},
            "night": {"enabled": False},
        },
    )
    async with sitting(home, endless) as seat:
        await seat.types("Speak")
        await seat.until(lambda: seat.screen.conversation.streaming)
        await seat.until(lambda: len(seat.screen.transcript.turns[-1].reply.text) > 200)
        await seat.hits("alt+d")
        await seat.hits("1", "1", "S", "o", "enter")  # as fast as possible
        await seat.until(lambda: seat.screen.query(MarkPicker))
        await seat.until(lambda: not seat.screen.query(MarkPicker))
        assert seat.screen.chat.journal.differences.all() == []
        await seat.hits("escape")
        await seat.until(lambda: seat.screen.chat.journal.differences.all())
        item = seat.screen.chat.journal.differences.all()[0]
        view = seat.screen.transcript.turns[-1]
        assert view.turn is not None
        assert (item.turn, item.kind) == (view.turn.id, "semantic/tone")
        assert item.contrast.sounds == "So"
        await seat.until(lambda: view.sign)


async def test_words_selected_with_keys_become_the_span(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(QUESTION)
        await seat.pilot.press("alt+up", "v")
        await seat.sees("start selecting")
        await seat.pilot.press("right", "v", "right")
        await seat.hits("d", "4", "3", "enter")  # as fast as possible
        await seat.sees("✓ Saved as")
        item = seat.screen.chat.journal.differences.all()[0]
        assert item.span is not None
        assert item.kind == "tactical/fact"
        assert item.span.quote == " ".join(item.replied.split()[1:3])
        assert item.replied[item.span.start : item.span.end] == item.span.quote
        view = seat.screen.transcript.turns[0]
        assert view.reply.display


async def test_leaving_the_selection_shows_the_reply_again(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(QUESTION)
        await seat.pilot.press("alt+up", "v")
        await seat.sees("start selecting")
        await seat.pilot.press("escape")
        view = seat.screen.transcript.turns[0]
        await seat.until(lambda: view.reply.display and seat.screen.transcript.chosen is view)
        await seat.until(lambda: seat.screen.transcript.has_focus)
        await seat.pilot.press("escape")
        await seat.until(lambda: seat.screen.composer.has_focus)


def test_marking_in_steps_skips_empty_steps() -> None:
    steps = MarkGesture(list(kinds().values()))
    assert [digit for digit, _ in steps.offers] == ["1", "2", "3", "4", "5"]
    assert steps.press("9") is None
    assert steps.press("x") is None
    assert steps.skip().request("", "") == MarkRequest(Moment.SURPRISE)
    tactical = steps.press("4")
    assert tactical is not None
    assert tactical.skip().request("", "").kind == "tactical"
    fact = tactical.press("3")
    assert fact is not None
    assert fact.request(" n ", " s ") == MarkRequest(
        Moment.ERROR, kind="tactical/fact", note=" n ", sounds=" s "
    )
    assert fact.back() == tactical
    assert tactical.back() == steps


def test_one_key_changes_which_replies_a_mark_is_about() -> None:
    steps = MarkGesture(list(kinds().values()))
    scopes = []
    for _ in range(3):
        after = steps.press("w")
        assert after is not None
        steps = after
        scopes.append(steps.request("Be brief.", "").scope)
    assert scopes == [MarkScope.TOPIC, MarkScope.EVERYWHERE, None]


async def test_a_mark_for_every_reply_is_used_from_the_next_message_on(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(QUESTION)
        await picking(seat, "alt+d")
        await seat.sees("for this question")
        await seat.pilot.press("w", "w")
        await seat.sees("for every reply")
        await seat.pilot.press("enter")
        await seat.sees("a better answer, as an example", "how replies should be")
        await seat.pilot.press("tab", *"No lists.", "enter")
        await seat.sees("for every reply. It is in the context of these replies")
        await seat.sees("/why shows whether a reply kept: no lists.")
        await seat.asks("Who painted the ceiling?")
        await seat.sees("1 recalled")
        await seat.types("/why")
        await seat.sees("for every reply · ✓ no lists", "pin")


def test_a_selection_moves_by_words_and_lines_and_grows_both_ways() -> None:
    passage = Passage.of("One two.\n\nThree four five\nsix")
    assert passage is not None
    assert Passage.of(" \n") is None

    def chosen(of: Passage) -> str:
        return of.text[slice(*of.span)]

    assert chosen(passage) == "One"
    assert chosen(passage.move(-1)) == "One"
    assert chosen(passage.move(99)) == "six"
    assert chosen(passage.line(1)) in ("Three", ".")
    three = passage.move(3)
    assert chosen(three) == "Three"
    assert chosen(three.toggle().move(2)) == "Three four five"
    assert chosen(three.move(-2, grow=True)) == "two.\n\nThree"
    assert chosen(three.line(1)) == "six"
    assert chosen(three.move(2).line(1)) == "six"


@pytest.mark.parametrize(
    ("source", "shown", "part", "found"),
    [
        ("It is **very** good.", "It is very good.", "very good", "very** good"),
        ("See [the page](http://the.page) now", "See the page now", "the page", "the page"),
        ("- one\n- `two` it", "two it", "two", "two"),
        ("| a | b |", "b", "b", "b"),
        ("a  \nb c", "a\nb c", "b", "b"),
        ("приве́т 你好 end", "приве́т 你好 end", "你好", "你好"),
    ],
)
def test_a_selection_is_found_in_the_source(source: str, shown: str, part: str, found: str) -> None:
    start = shown.index(part)
    place = find_in_source(source, shown, start, start + len(part))
    assert place is not None
    assert source[slice(*place)] == found


def test_a_selection_that_is_not_in_the_source_is_refused() -> None:
    assert find_in_source("&amp;&amp;", "xyz", 0, 3) is None
    assert find_in_source("one", "one", 1, 1) is None
