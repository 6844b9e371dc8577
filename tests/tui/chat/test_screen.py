"""The chat screen with the starter model."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events

from memory.difference import Difference, Moment, State, Turn, new_id, now
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.tui.seat import Seat, sitting

QUESTION = "What is the capital of Zubrowka?"
SOUNDS = "The capital of Zubrowka is Lutz."


@pytest.fixture
def endless(home: Home, tiny: Path) -> Settings:
    """A random model that never ends a reply by itself."""
    return read_settings(
        home,
        {
            "model": {"path": str(tiny), "context": 8192},
            "sampling": {"temperature": 0.0, "max_tokens": 8000},
            "memory": {"dense": False},
            "night": {"enabled": False},
        },
    )


async def speaking(seat: Seat, lines: int = 3) -> None:
    """Wait until a reply is being generated."""
    await seat.until(lambda: seat.screen.conversation.streaming)
    reply = seat.screen.transcript.turns[-1].reply
    await seat.until(lambda: len(reply.text) > 80 * lines)


async def test_an_empty_thread_says_what_to_do(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        await seat.sees("◆ discern", "/diff", "/train", "/help", "base", "0/512")


async def test_a_mark_gives_a_receipt_and_is_recalled_by_the_next_message(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(QUESTION)
        first = seat.screen.transcript.turns[-1]
        assert first.turn is not None
        assert first.turn.replied in " ".join(seat.shown.split())
        await seat.types(f"/diff error tactical => {SOUNDS}")
        await seat.sees("✓ Saved as error (tactical)", "undo", "◆ 1 waiting")
        assert first.sign == "◆"
        await seat.asks("what is the capital of Zubrowka")
        await seat.sees("◆ 1 recalled: What is the capital", f"→ {SOUNDS}")
        await seat.types("/why")
        await seat.sees(
            "relevance 1.00, words: capital Zubrowka", f"→ {SOUNDS}", "p pin · f forget"
        )
        await seat.pilot.press("escape")
        await seat.types("/memory")
        await seat.sees("tactical", "waiting for the next nightly training")


async def test_a_mark_can_be_undone(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        await seat.types("/undo")
        await seat.sees("No marks since the chat was opened")
        await seat.asks(QUESTION)
        await seat.types("/diff")
        await seat.sees("Saved as surprise")
        view = seat.screen.transcript.turns[-1]
        assert view.sign == "◇"
        await seat.types("/undo")
        await seat.sees("Mark removed:")
        await seat.until(lambda: view.sign == "")
        assert seat.screen.chat.journal.differences.all() == []
        assert "Saved as surprise" not in seat.shown


async def test_text_pasted_while_a_reply_is_selected_goes_to_the_input(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks("What is 2 + 3?")
        await seat.pilot.press("alt+up")
        await seat.until(lambda: seat.screen.focused is seat.screen.transcript)
        seat.app.post_message(events.Paste("one\rtwo \x1b[31mred"))
        await seat.until(lambda: seat.draft == "one\ntwo \x1b[31mred")
        assert seat.screen.composer.has_focus


async def test_an_overlong_paste_is_removed_again(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        lines = "\n".join(f"line {number}" for number in range(30))
        seat.app.post_message(events.Paste(lines))
        await seat.until(lambda: seat.draft == lines)
        await seat.pilot.press("ctrl+z")
        assert seat.draft == ""
        await seat.pilot.press("ctrl+y", *"!")
        assert seat.draft == lines + "!"


async def test_an_earlier_reply_is_selected_and_marked_with_two_keys(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(QUESTION)
        await seat.asks("What is 2 + 3?")
        await seat.pilot.press("alt+up", "alt+up")
        first, second = seat.screen.transcript.turns
        assert seat.screen.transcript.chosen is first
        await seat.pilot.press("d")
        await seat.sees("◆ mark the reply")
        await seat.pilot.press("e", "enter", "enter")
        await seat.until(lambda: first.sign == "◇")
        assert second.sign == ""
        assert first.turn is not None
        assert seat.screen.chat.journal.differences.all()[0].turn == first.turn.id
        await seat.pilot.press("alt+up", "alt+up", "u")
        await seat.until(lambda: first.sign == "")
        await seat.pilot.press("x")
        assert seat.draft == "x"


async def test_a_refused_mark_returns_to_the_input_for_correction(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.types("/diff")
        await seat.sees("! There is no reply to mark yet; ask something first.")
        assert seat.draft == "/diff"
        await seat.pilot.press("x")
        assert seat.draft == "x"  # it was selected, so typing replaces it
        await seat.pilot.press("ctrl+z")
        assert seat.draft == "/diff"  # and is not lost
        await seat.asks(QUESTION)
        await seat.types("/diff error =>")
        await seat.sees("There is no text after =>")
        assert seat.draft == "/diff error =>"


async def test_commands_answer_in_the_conversation(home: Home, quick: Settings) -> None:
    async with sitting(home, quick, size=(80, 50)) as seat:
        await seat.types("/adapters")
        await seat.sees("No adapters yet")
        await seat.types("/adapters use 123")
        await seat.sees("No adapter id starts with '123'")
        await seat.types("/recall off")
        await seat.sees("Recall is off", "recall off")
        assert seat.screen.chat.recalling is False
        await seat.types("/recall on")
        await seat.sees("Recall is on")
        await seat.types("/why")
        await seat.sees("Nothing has been asked in this thread yet")
        await seat.types("/report")
        await seat.sees("No training has run yet")
        await seat.types("/memory forget nothing")
        await seat.sees("No difference has the id 'nothing'")


async def test_a_mistyped_command_gets_a_suggestion_and_returns_to_the_input(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.types("/trian now")
        await seat.sees("Unknown command /trian. Did you mean /train?")
        assert seat.draft == "/trian now"


async def test_training_with_nothing_to_train_is_not_an_error(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        await seat.types("/train")
        await seat.sees("No differences are marked yet, so there is nothing to train")
        await seat.until(lambda: not seat.screen.training.trainings.running)
        assert not seat.screen.panel.display


async def test_reopening_the_chat_resumes_the_thread(home: Home, quick: Settings) -> None:
    async with sitting(home, quick, thread="work") as seat:
        await seat.asks(QUESTION)
        await seat.types(f"/diff error => {SOUNDS}")
        await seat.sees("Saved as error")
        await seat.asks(QUESTION)
    async with sitting(home, quick) as seat:
        assert seat.screen.chat.thread.name == "work"
        await seat.sees(f"› {QUESTION}", "1 recalled", "◆ 1 waiting")
        assert [view.sign for view in seat.screen.transcript.turns] == ["◆", ""]
        await seat.pilot.press("up")
        assert seat.draft == QUESTION
        await seat.types("/new")
        await seat.sees("New thread:", "◆ discern")
        await seat.types("/threads")
        await seat.sees("work", "2 turns")
        await seat.types("/thread work")
        await seat.sees(f"› {QUESTION}")


async def test_escape_stops_the_reply_and_keeps_its_text_and_the_draft(
    home: Home, endless: Settings
) -> None:
    async with sitting(home, endless) as seat:
        await seat.types("Speak")
        await speaking(seat)
        await seat.hits(*"draft", "enter")
        await seat.until(lambda: seat.draft == "draft")
        await seat.hits("escape")
        await seat.until(lambda: not seat.screen.conversation.streaming)
        turn = seat.screen.transcript.turns[-1].turn
        assert turn is not None
        assert turn.stopped
        assert len(turn.replied) > 100
        assert seat.screen.chat.thread.turns() == [turn]
        assert seat.draft == "draft"
        await seat.sees("stopped")


async def test_a_mark_made_while_the_reply_streams_waits_for_its_end(
    home: Home, endless: Settings
) -> None:
    async with sitting(home, endless) as seat:
        await seat.types("Speak")
        await speaking(seat, 1)
        await seat.types("/diff surprise")
        await seat.sees("will be marked when it ends")
        await seat.types("/new")
        await seat.sees("still being generated")
        await seat.hits("escape")
        await seat.until(lambda: seat.screen.transcript.turns[-1].sign == "◇")


async def test_the_end_is_followed_until_the_user_scrolls_up(home: Home, endless: Settings) -> None:
    async with sitting(home, endless) as seat:
        transcript = seat.screen.transcript
        await seat.types("Speak")
        await seat.until(lambda: transcript.max_scroll_y > 10)
        await seat.until(lambda: transcript.following)
        await seat.hits("pageup")
        await seat.until(lambda: not transcript.following)
        stayed = transcript.scroll_y
        assert stayed < transcript.max_scroll_y
        reached = transcript.max_scroll_y
        await seat.until(lambda: transcript.max_scroll_y > reached + 20)
        assert transcript.scroll_y == stayed
        await seat.hits("escape")
        await seat.until(lambda: not seat.screen.conversation.streaming)
        await seat.pilot.pause()
        assert transcript.scroll_y == stayed
        while not transcript.following:
            await seat.hits("pagedown")
            await seat.pilot.pause()
        await seat.types("/recall")
        await seat.sees("Recall is on")


async def test_a_message_sent_while_the_model_loads_is_answered_once_it_is_loaded(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick, ready=False) as seat:
        await seat.pilot.pause()
        await seat.types("What is 2 + 3?")
        await seat.until(lambda: seat.screen.context.open_chat is not None)
        await seat.until(lambda: len(seat.screen.transcript.turns) == 1)
        await seat.until(lambda: not seat.screen.conversation.streaming)
        assert seat.draft == ""


async def test_a_model_that_cannot_be_loaded_ends_the_chat_with_its_error(
    home: Home, settings: Settings
) -> None:
    missing = settings.model_copy(
        update={"model": settings.model.model_copy(update={"path": "/nowhere/model.gguf"})}
    )
    async with sitting(home, missing, ready=False) as seat:
        await seat.until(lambda: seat.app.failure is not None)
    assert seat.app.return_code == 2
    assert seat.app.failure is not None
    assert "/nowhere/model.gguf" in seat.app.failure


async def test_ctrl_c_on_another_screen_shows_the_same_hint(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        seat.screen.composer.write("a draft")
        seat.screen.composer.select_all()
        await seat.pilot.press("ctrl+t")
        await seat.sees("No training has run yet.")
        await seat.pilot.press("ctrl+c")  # the selection below does not matter
        await seat.sees("Press Ctrl+C again to quit.")
        await seat.pilot.press("ctrl+c")
        await seat.until(lambda: seat.app.return_code == 0)


async def test_ctrl_c_twice_quits(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        await seat.pilot.press("ctrl+c")
        await seat.sees("Press Ctrl+C again to quit")
        assert seat.app.return_code is None
        await seat.pilot.press("ctrl+c")
        await seat.until(lambda: seat.app.return_code == 0)


HOSTILE = (
    "[bold]plain[/bold] [@click=app.quit]no[/] "
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 a\u202eb \x9b2J end"
)


async def test_hostile_text_of_the_journal_is_shown_harmlessly(home: Home, quick: Settings) -> None:
    turn = Turn(new_id(), "t", now(), HOSTILE, f"**{HOSTILE}** &#x202e;", "m")
    mark = Difference(
        new_id(),
        turn.id,
        "t",
        now(),
        Moment.ERROR,
        HOSTILE,
        HOSTILE,
        state=State.BARE,
        note=HOSTILE,
    )
    recalled = Turn(new_id(), "t", now(), "again", HOSTILE, "m", recalled=(mark.id,))
    with Journal(home.journal) as journal:
        journal.turns.add(turn)
        journal.differences.add(mark)
        journal.turns.add(recalled)
    async with sitting(home, quick, thread="t", size=(100, 40)) as seat:
        await seat.sees("› [bold]plain[/bold] [@click=app.quit]no[/] red ab end")
        await seat.types("/why")
        await seat.sees("Recalled for “again”", "relevance not known")
        await seat.pilot.press("escape")
        await seat.types("/memory")
        await seat.sees("recalled but not trained")
        assert not any(char in seat.shown for char in "\x1b\x9b\x07\u202e")
        await seat.pilot.press("escape")
        await seat.types("/contrast")
        await seat.sees("describe the difference", "said [bold]plain[/bold]")
        await seat.pilot.press("escape")
        await seat.types("/threads")
        await seat.sees("◇", "2 turns")
        assert not any(char in seat.shown for char in "\x1b\x9b\x07\u202e")
        seat.screen.composer.focus()
        await seat.pilot.press(*["up"] * 6)
        assert seat.draft == HOSTILE  # the earlier message, to send again
        assert not any(char in seat.shown for char in "\x1b\x9b\x07\u202e")


async def test_a_narrow_screen_keeps_what_matters(home: Home, quick: Settings) -> None:
    async with sitting(home, quick, size=(40, 16)) as seat:
        await seat.asks(QUESTION)
        await seat.types("/diff error")
        await seat.sees("Saved as error")
        assert all(len(line) <= 40 for line in seat.shown.splitlines())
        assert "base" in seat.status


@pytest.mark.slow
async def test_the_full_loop_marks_trains_asks_without_recall_and_reopens(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick, size=(100, 36)) as seat:
        await seat.asks(QUESTION)
        await seat.types(f"/diff error => {SOUNDS}")
        await seat.sees("Saved as error")
        await seat.types("/train")
        await seat.until(lambda: seat.screen.panel.display)
        await seat.asks("What is 2 + 3?")
        screen = seat.screen
        await seat.until(lambda: not screen.training.trainings.running, patience=600)
        # It may be in use for all messages, or only for those related to the mark.
        await seat.sees("Learned 1 of 1 lessons", "is now in use", "(trained on 1 difference)")
        assert screen.chat.adapter is not None
        await seat.until(lambda: screen.transcript.turns[0].marks[-1].state is State.TRAINED)
        await seat.types("/recall off")
        await seat.asks(QUESTION)
        await seat.sees(f"› {QUESTION} {SOUNDS}")
        adapter = screen.chat.adapter.id
    async with sitting(home, quick) as seat:
        await seat.sees(adapter[:8], SOUNDS)
        await seat.types("/adapters off")
        await seat.sees("replies come from the base model")


async def test_a_chat_whose_journal_is_gone_keeps_the_message_on_the_screen(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(QUESTION)
        for path in home.data.glob("journal.sqlite*"):
            path.unlink()
        await seat.types("And of Lutz?")
        await seat.sees("was deleted, moved or replaced while it was open", "memory restore")
        await seat.until(lambda: not seat.screen.conversation.streaming)
        assert seat.draft == "And of Lutz?"
        assert len(seat.screen.transcript.turns) == 1  # no reply was generated in vain
        seat.screen.composer.write("")
        await seat.types(f"/diff error => {SOUNDS}")
        await seat.sees("nothing more can be saved")
        await seat.until(lambda: seat.draft == f"/diff error => {SOUNDS}")
        assert seat.screen.transcript.turns[0].sign == ""


async def test_a_reply_that_cannot_be_saved_stays_on_the_screen_with_an_error(
    home: Home, endless: Settings
) -> None:
    async with sitting(home, endless) as seat:
        await seat.types(QUESTION)
        await speaking(seat)
        for path in home.data.glob("journal.sqlite*"):
            path.unlink()
        await seat.pilot.press("escape")
        await seat.until(lambda: not seat.screen.conversation.streaming)
        await seat.sees("not saved", "nothing more can be saved")
        [view] = seat.screen.transcript.turns
        assert view.turn is None
        assert len(view.reply.text) > 80
        assert seat.draft == QUESTION
