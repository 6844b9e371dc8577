"""The cards in the conversation: the contrast of a mark, and recalled differences."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual import events
from textual.command import CommandPalette
from textual.widgets import Input

from agent.chat.surprise import SMOOTH, Suggestion
from memory.difference import Contrast, State
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.tui.seat import Seat, sitting
from tui.widgets.chat.notice import Hint
from tui.widgets.chat.why_card import WhyCard
from tui.widgets.marking.contrast_card import ContrastCard

QUESTION = "What is the capital of Zubrowka?"
SOUNDS = "The capital of Zubrowka is Lutz."


async def marked(seat: Seat, mark: str) -> str:
    """Ask, mark, and return the id of the mark."""
    await seat.asks(QUESTION)
    await seat.types(mark)
    await seat.sees("✓ Saved as")
    return seat.screen.chat.journal.differences.all()[-1].id


async def test_a_card_removed_behind_another_screen_is_drawn_as_blanks(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await marked(seat, "/diff error")
        await seat.types("/contrast")
        await seat.sees("Esc cancel")
        layout = seat.screen._compositor
        await seat.hits("ctrl+p")
        await seat.until(lambda: isinstance(seat.app.screen, CommandPalette))
        card = seat.screen.query_one(ContrastCard)
        await card.remove()
        assert card in layout.full_map  # until the screen is in front again
        assert any("Saved as" in strip.text for strip in layout.render_strips())


async def test_a_contrast_is_written_in_a_card_and_saved_with_enter(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        identity = await marked(seat, "/diff error")
        await seat.types("/contrast")
        await seat.sees("describe the difference", "write them yourself", "Esc cancel")
        await seat.pilot.press(*"city", "tab", "tab", *"Lutz", "ctrl+j", *"ok", "enter")
        await seat.sees("version 2", "run /train to train on it")
        item = seat.screen.chat.journal.differences.get(identity)
        assert item.contrast == Contrast("city", None, "Lutz\nok")
        assert item.state is State.WAITING
        assert not seat.screen.query(ContrastCard)
        assert seat.screen.composer.has_focus
        await seat.until(lambda: seat.screen.transcript.turns[0].sign == "◆")


async def test_text_pasted_into_a_card_or_an_input_is_sanitized(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        identity = await marked(seat, "/diff error")
        await seat.types("/contrast")
        await seat.sees("Esc cancel")
        seat.app.post_message(events.Paste("two\rlines \x1b[31mred \u202eend"))
        await seat.sees("[31mred end")
        await seat.pilot.press("enter")
        await seat.sees("version 2")
        item = seat.screen.chat.journal.differences.get(identity)
        assert item.contrast.missed == "two\nlines \x1b[31mred \u202eend"
        await seat.types("/memory")
        await seat.until(lambda: seat.app.screen is not seat.screen)
        await seat.sees("supersede")
        await seat.pilot.press("slash")
        await seat.until(lambda: isinstance(seat.app.focused, Input))
        seat.app.post_message(events.Paste("\x1b]52;c;eA==\x07tw\x85o"))
        await seat.until(lambda: seat.app.screen.query_one(Input).value == "\x1b]52;c;eA==\x07tw")


async def test_a_cancelled_card_changes_nothing(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        identity = await marked(seat, "/diff error")
        before = seat.screen.chat.journal.differences.get(identity)
        await seat.types("/contrast")
        await seat.sees("describe the difference")
        await seat.pilot.press(*"typed", "escape")
        await seat.until(lambda: not seat.screen.query(ContrastCard))
        assert seat.screen.chat.journal.differences.get(identity) == before


async def test_a_draft_fills_empty_lines_and_is_saved_only_by_the_user(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        identity = await marked(seat, "/diff error")
        await seat.types("/contrast")
        await seat.sees("write them yourself")
        card = seat.screen.query_one(ContrastCard)
        await seat.pilot.press(*"mine")
        card.offer(Contrast("theirs", "the \x1b[31mplace", "So."))
        await seat.sees(
            "got wrong mine", "left out the [31mplace", "better answer So.", "This is a draft"
        )
        assert "\x1b" not in seat.shown
        assert not seat.screen.chat.journal.differences.get(identity).contrast
        await seat.pilot.press("ctrl+s")
        await seat.sees("version 2")
        kept = seat.screen.chat.journal.differences.get(identity).contrast
        assert kept == Contrast("mine", "the \x1b[31mplace", "So.")


async def test_a_refused_card_stays_open_with_its_text(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        identity = await marked(seat, "/diff error")
        reply = seat.screen.chat.journal.differences.get(identity).replied
        await seat.types("/contrast")
        await seat.sees("write them yourself")
        seat.screen.query_one(ContrastCard).offer(Contrast(None, None, reply))
        await seat.pilot.press("enter")
        await seat.sees("the same as the reply")
        assert seat.screen.query(ContrastCard)


async def test_a_mark_is_edited_from_the_list_of_differences(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        identity = await marked(seat, f"/diff error => {SOUNDS}")
        await seat.types(f"/memory edit {identity[:6]}")
        await seat.sees("note anything else worth remembering", SOUNDS)
        await seat.pilot.press("tab", "tab", "tab", *"city", "enter")
        await seat.sees("version 2")
        assert seat.screen.chat.journal.differences.get(identity).note == "city"


async def test_recalled_differences_are_pinned_and_forgotten_in_the_card(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        identity = await marked(seat, f"/diff error => {SOUNDS}")
        await seat.asks("capital of Zubrowka?")
        await seat.types("/why")
        await seat.sees(
            "Recalled for “capital of Zubrowka?”", "relevance 1.00, words: capital Zubrowka"
        )
        await seat.pilot.press("p")
        await seat.sees("pinned")
        assert seat.screen.chat.journal.differences.get(identity).pinned
        await seat.pilot.press("f")
        await seat.sees("forgotten when you close the card · f undo")
        await seat.pilot.press("f", "escape")
        await seat.until(lambda: not seat.screen.query(WhyCard))
        assert seat.screen.chat.journal.differences.all()
        await seat.types("/why")
        await seat.sees("p pin")
        await seat.pilot.press("f", "escape")
        await seat.sees("Permanently forgotten, with the turn it was marked in")
        assert seat.screen.chat.journal.differences.all() == []
        assert [view.asked for view in seat.screen.transcript.turns] == ["capital of Zubrowka?"]
        assert b"What is the capital" not in b"".join(
            path.read_bytes() for path in home.data.glob("*.sqlite*") if ".before-" not in path.name
        )


async def test_a_hint_is_one_line_that_marks_nothing_and_closes_with_escape(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks(QUESTION)
        first = seat.screen.transcript.turns[0].turn
        assert first is not None
        # Surprise is tested where it is measured; this only tests how it is shown.
        hint = Suggestion(first, SMOOTH, 3.0, 0.1, 6.0)
        monkeypatch.setattr(seat.screen.chat.marks, "hint", lambda _turn: hint)
        await seat.asks("What is 2 + 3?")
        await seat.sees("◇ The reply was predictable, but your next message was not")
        assert seat.screen.chat.journal.differences.all() == []
        await seat.pilot.press("alt+up")
        chosen = seat.screen.transcript.chosen
        assert chosen is not None
        assert chosen.turn == first
        await seat.pilot.press("escape")
        await seat.until(lambda: not seat.screen.query(Hint))


async def test_hints_can_be_switched_off(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = quick.model_copy(update={"ui": quick.ui.model_copy(update={"hints": False})})
    async with sitting(home, off) as seat:
        await seat.asks(QUESTION)
        turn = seat.screen.transcript.turns[0].turn
        assert turn is not None
        monkeypatch.setattr(
            seat.screen.chat.marks,
            "hint",
            lambda _turn: Suggestion(replace(turn), SMOOTH, 3.0, 0.1, 6.0),
        )
        await seat.asks("What is 2 + 3?")
        assert not seat.screen.query(Hint)


async def test_cards_fit_a_narrow_screen(home: Home, quick: Settings) -> None:
    async with sitting(home, quick, size=(40, 20)) as seat:
        await marked(seat, "/diff error")
        await seat.types("/contrast")
        await seat.sees("Enter save")
        assert all(len(line) <= 40 for line in seat.shown.splitlines())


async def test_a_second_chat_says_that_it_uses_keyword_search(home: Home, quick: Settings) -> None:
    dense = quick.model_copy(update={"memory": quick.memory.model_copy(update={"dense": True})})
    with Memory.open(home, dense) as owner:
        assert owner.index is not None
        async with sitting(home, dense) as seat:
            await seat.sees("using keyword search only")


async def test_a_card_below_a_long_talk_is_shown_each_time(home: Home, quick: Settings) -> None:
    """Focusing a card that is not laid out yet scrolled to the top of the talk."""
    async with sitting(home, quick) as seat:
        await marked(seat, f"/diff error => {SOUNDS}")
        for _ in range(6):
            await seat.asks(QUESTION)
        for command, shown in (("/why", "Esc close"), ("/contrast", "Esc cancel")) * 3:
            await seat.types(command)
            await seat.sees(shown)
            await seat.pilot.pause(0.2)
            assert shown in seat.shown, command
            assert seat.screen.transcript.following
            await seat.hits("escape")
            await seat.until(lambda: not seat.screen.query("WhyCard, ContrastCard"))
