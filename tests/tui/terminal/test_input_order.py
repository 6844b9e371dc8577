"""Keys that arrive in one read act in the order in which they were pressed."""

from __future__ import annotations

import asyncio

import pytest
from textual import events

from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.tui.pseudo_terminal import Terminal
from tests.tui.seat import sitting
from tui.screens.help import HelpScreen
from tui.terminal import input_order
from tui.terminal.textual_patches.drivers import SafeParser
from tui.widgets.marking.contrast_card import ContrastCard

BACKSPACE, LEFT, UP, HOME_KEY, ALT_ENTER = b"\x7f", b"\x1b[D", b"\x1b[A", b"\x1b[H", b"\x1b\r"


def asked(home: Home) -> list[str]:
    with Journal(home.journal) as journal:
        return [turn.asked for turn in journal.turns.all()]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (b"abc" + BACKSPACE * 3 + b"xyz", "xyz"),
        (b"hello" + LEFT * 2 + b"X", "helXlo"),
        (b"one" + ALT_ENTER + b"two" + ALT_ENTER + LEFT + BACKSPACE + b"!", "one\ntw!\n"),
        (b"ab" + LEFT + b"\x1b[200~paste\x1b[201~" + BACKSPACE + b"z", "apastzb"),
        (b"b" + HOME_KEY + "ж".encode() + LEFT + BACKSPACE + "я".encode(), "яжb"),
    ],
)
def test_keys_in_one_read_keep_their_order(settled: Home, keys: bytes, said: str) -> None:
    with Terminal("tui", "chat", "--new") as terminal:
        terminal.until(lambda: b"0/512" in terminal.out)
        terminal.types(keys + b"\r")
        terminal.until(lambda: asked(settled))
    assert asked(settled) == [said]


def test_enter_acts_between_the_text_before_and_after_it(settled: Home) -> None:
    with Terminal("tui", "chat", "--new") as terminal:
        terminal.until(lambda: b"0/512" in terminal.out)
        terminal.types(b"/thread onf" + BACKSPACE + b"e\r" + b"twoo" + BACKSPACE + b"\r")
        terminal.until(lambda: asked(settled))
        with Journal(settled.journal) as journal:
            assert [(turn.thread, turn.asked) for turn in journal.turns.all()] == [("one", "two")]


@pytest.mark.slow
def test_keys_keep_their_order_where_a_session_is_renamed(settled: Home) -> None:
    with Terminal("tui", "chat", "--thread", "old") as terminal:
        terminal.until(lambda: b"0/512" in terminal.out)
        terminal.types(b"hello\r")
        terminal.until(lambda: asked(settled))
        terminal.types(b"/sessions\r")
        terminal.until(lambda: b"1 turn" in terminal.out)
        terminal.types(b"\x12")
        terminal.until(lambda: b"New name:" in terminal.out)
        terminal.types(BACKSPACE * 3 + b"nex" + BACKSPACE + b"w" + LEFT * 2 + b"_" + b"\r")

        def renamed() -> bool:
            with Journal(settled.journal) as journal:
                return [turn.thread for turn in journal.turns.all()] == ["n_ew"]

        terminal.until(renamed)


def test_keys_keep_their_order_in_a_field_of_the_setup(home: Home) -> None:
    with Terminal("tui", "setup") as terminal:
        terminal.until(lambda: b"step 1 of 3" in terminal.out and b"Esc" in terminal.out)
        terminal.types(b"\r")
        terminal.until(lambda: b"step 2 of 3" in terminal.out and b"03:15" in terminal.out)
        terminal.types(b"\t" + HOME_KEY + b"\x1b[3~" * 5 + b"04555" + BACKSPACE + LEFT * 2 + b":")
        terminal.types(b"\x1b[Z\r")  # back to the list; choose the highlighted row
        terminal.until(lambda: b"step 3 of 3" in terminal.out)
    assert read_settings(home).night.time == "04:55"


async def test_a_key_handler_that_hangs_does_not_prevent_quitting(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_order, "MAX_WAIT_SECONDS", 0.3)
    async with sitting(home, quick) as seat:
        hangs = asyncio.Event()

        async def action_branch(_step: int) -> None:
            await hangs.wait()

        monkeypatch.setattr(seat.screen, "action_branch", action_branch, raising=False)
        await seat.asks("Who are you?")
        await seat.hits("alt+up", "left_square_bracket")
        await seat.hits("ctrl+q")  # it waits for the key before it, and for no other input
        try:
            await seat.until(lambda: seat.app.return_code == 0)
        finally:
            hangs.set()


async def test_inputs_after_one_that_failed_are_handled(
    home: Home, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sitting(home, quick) as seat:
        order = seat.app.input_order
        dispatch = order._dispatch

        async def dispatch_keys(event: input_order.Input) -> None:
            if isinstance(event, events.Paste):
                raise RuntimeError("no pastes today")
            await dispatch(event)

        monkeypatch.setattr(order, "_dispatch", dispatch_keys)
        order._waiting += [events.Paste("x"), events.Key("f1", None)]
        with pytest.raises(RuntimeError, match="no pastes"):
            await order._dispatch_waiting()
        await seat.until(lambda: isinstance(seat.app.screen, HelpScreen))


async def test_text_typed_in_a_card_arrives_before_the_save_key(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        await seat.asks("Who are you?")
        await seat.types("/diff surprise")
        await seat.types("/contrast")
        await seat.until(lambda: seat.screen.query(ContrastCard))
        await seat.pilot.pause()
        for key in (*"missed", "backspace", "tab", *"lost", "ctrl+s"):
            seat.app.post_message(events.Key(key, key if len(key) == 1 else None))
        with Journal(home.journal) as journal:
            await seat.until(lambda: journal.differences.all()[0].contrast.missed)
            contrast = journal.differences.all()[0].contrast
        assert (contrast.missed, contrast.lost) == ("misse", "lost")


def test_escape_and_return_are_one_key_however_the_input_is_split() -> None:
    for pieces in (("\x1b\r",), ("\x1b", "\r"), ("a\x1b\r\x1b\r\x1b[A",)):
        parser = SafeParser()
        names = [event.key for piece in pieces for event in parser.feed(piece)]  # type: ignore[attr-defined]
        assert "alt+enter" in names
        assert "enter" not in names
        assert "circumflex_accent" not in names
    assert names == ["a", "alt+enter", "alt+enter", "up"]


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ("\x1bde43", ["alt+d", "e", "4", "3"]),
        ("\x1bd\x1bD\x1b.", ["alt+d", "alt+shift+d", "alt+full_stop"]),
        ("\x1bв\x1b[D", ["alt+в", "left"]),
        ("\x1b\x1b[Aa", ["escape", "up", "a"]),
        ("\x1bOP\x1b[1;3A", ["f1", "alt+up"]),
    ],
)
def test_a_key_with_alt_is_distinguished_from_following_input(data: str, names: list[str]) -> None:
    for pieces in ([data], list(data)):
        parser = SafeParser()
        found = [event.key for piece in pieces for event in parser.feed(piece)]  # type: ignore[attr-defined]
        assert found == names


@pytest.mark.slow
def test_a_mark_gesture_in_one_read_has_its_kind_and_words(settled: Home) -> None:
    with Terminal("tui", "chat", "--new") as terminal:
        terminal.until(lambda: b"0/512" in terminal.out)
        terminal.types(b"hello\r")
        terminal.until(lambda: asked(settled))
        terminal.until(lambda: b"tok/s" in terminal.out)
        terminal.types(b"\x1bde43Lutx" + BACKSPACE + b"z" + LEFT * 2 + b"!\r")

        def marked() -> list[tuple[str | None, str | None]]:
            with Journal(settled.journal) as journal:
                return [(item.kind, item.contrast.sounds) for item in journal.differences.all()]

        terminal.until(marked)
        assert marked() == [("tactical/fact", "Lu!tz")]
