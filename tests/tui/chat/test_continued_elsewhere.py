"""A chat whose thread another process continues: marks and messages belong to what it shows."""

from __future__ import annotations

import pytest

from memory.difference import Turn, new_id, now
from memory.journal.journal import Journal
from memory.mark_validation import MarkRequest, make_mark
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.tui.seat import Seat, sitting
from tui.widgets.marking.mark_picker import MarkPicker

SEEN, UNSEEN = "What is the capital of Zubrowka?", "What is the capital of Kenya?"


def say_elsewhere(home: Home, seat: Seat, asked: str = UNSEEN) -> Turn:
    """Continue the open thread as another process would, on its own connection."""
    turn = Turn(new_id(), seat.screen.chat.thread.name, now(), asked, "Nairobi.", "m", None)
    with Journal(home.journal) as journal:
        journal.turns.add(turn)
    return turn


async def test_a_typed_mark_belongs_to_the_reply_on_the_screen(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(SEEN)
        say_elsewhere(home, seat)
        await seat.types("/diff error => The capital of Zubrowka is Lutz.")
        await seat.sees("Saved as error", SEEN)
        [kept] = seat.screen.chat.journal.differences.all()
        assert kept.asked == SEEN


async def test_a_mark_gesture_and_a_selected_part_belong_to_the_reply_on_the_screen(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(SEEN)
        say_elsewhere(home, seat)
        await seat.pilot.press("alt+d")
        await seat.until(lambda: seat.screen.query(MarkPicker))
        await seat.pilot.press("4", "3", "enter")
        await seat.sees("Saved as error (tactical/fact)", SEEN)
        await seat.pilot.press("alt+up", "v", "right", "enter")
        await seat.until(lambda: seat.screen.query(MarkPicker))
        await seat.pilot.press("4", "1", "enter")
        await seat.until(lambda: len(seat.screen.chat.journal.differences.all()) == 2)
        assert {item.asked for item in seat.screen.chat.journal.differences.all()} == {SEEN}


async def test_the_contrast_card_and_a_comparison_belong_to_the_reply_on_the_screen(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(SEEN)
        unseen = say_elsewhere(home, seat)
        with Journal(home.journal) as journal:
            journal.differences.add(
                make_mark(unseen, MarkRequest("error", sounds="No."), said=(), next_surprisal=None)
            )
        await seat.types("/contrast")
        await seat.sees("Nothing is marked here yet")
        await seat.types("/compare")
        await seat.until(lambda: len(seat.app.screen_stack) > 2)
        await seat.sees(SEEN)


async def test_a_mark_made_during_a_reply_that_is_then_refused_marks_nothing(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(SEEN)
        reply = seat.screen.context.reply
        view = seat.screen.transcript.turns[0]
        other = type(view)("never kept")
        await seat.screen.transcript.add(other)
        reply.streaming, reply.view = True, other
        await seat.screen.handlers.marks.diff("error")
        reply.streaming, reply.view = False, None
        await other.remove()
        [action] = seat.screen.conversation._after
        await seat.screen.context.attempt(action())
        await seat.sees("The reply was not saved, so nothing was marked")
        assert seat.screen.chat.journal.differences.all() == []


async def test_the_chat_reports_a_continued_thread_once_and_continues_from_what_it_shows(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(SEEN)
        say_elsewhere(home, seat)
        await seat.sees("This thread was continued elsewhere.")
        await seat.asks("What is 2 + 3?")
        asked = [turn.asked for turn in seat.screen.chat.thread.turns()]
        assert asked == [SEEN, "What is 2 + 3?"]
        assert [view.asked for view in seat.screen.transcript.turns] == asked
        assert seat.shown.count("continued elsewhere") <= 1
        thread = seat.screen.chat.thread.name
        say_elsewhere(home, seat, "Who is there?")
        await seat.types(f"/thread {thread}")
        await seat.sees("Who is there?", "Nairobi.")
        assert seat.screen.chat.thread.turns()[-1].asked == "Who is there?"


async def test_retrying_and_editing_branch_off_at_the_turn_on_the_screen(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(SEEN)
        first = seat.screen.transcript.turns[0].stored_turn
        say_elsewhere(home, seat)
        await seat.types("/retry")
        await seat.until(
            lambda: (view := seat.screen.transcript.turns[-1]).turn and view.turn != first
        )
        again = seat.screen.transcript.turns[-1].stored_turn
        assert again.asked == SEEN
        assert seat.screen.chat.journal.turns.parent(again.id) == ""
        say_elsewhere(home, seat)
        await seat.asks("What is 2 + 3?")
        assert [turn.id for turn in seat.screen.chat.thread.turns()][:-1] == [again.id]


@pytest.mark.slow
async def test_each_of_two_chats_on_one_thread_marks_the_reply_that_it_shows(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick, thread="trip") as first:
        await first.asks(SEEN)
        async with sitting(home, quick, thread="trip") as second:
            await second.sees(SEEN)
            await second.asks(UNSEEN)
            await first.types("/diff error => The capital of Zubrowka is Lutz.")
            await first.sees("Saved as error", SEEN)
            await second.types("/diff error => Nairobi, of course.")
            await second.sees("Saved as error", UNSEEN)
            assert UNSEEN not in first.shown
            marks = second.screen.chat.journal.differences.all()
            assert [item.asked for item in marks] == [SEEN, UNSEEN]
            turns = [item.id for item in second.screen.chat.thread.turns()]
            assert [item.turn for item in marks] == turns
