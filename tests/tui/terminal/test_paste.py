"""Pastes with escape characters are text, however they are split, and never keys."""

from __future__ import annotations

import pytest
from textual import events

from tui.terminal.input_stand_ins import restored
from tui.terminal.paste import BEGIN, END, PasteGate, pasted
from tui.terminal.textual_patches.drivers import SafeParser

HOSTILE = "one\x1b[31m red\x1b]52;c;eA==\x07 \x1bPq\x1b\\two\x1b\x11\x1bc\rthree\x1b[200~four"
SAFE = HOSTILE.replace("\r", "\n")


def read(*pieces: str) -> list[events.Event]:
    parser = SafeParser()
    found = [event for piece in pieces for event in parser.feed(piece)]
    return [event for event in found if isinstance(event, events.Event)]


@pytest.mark.parametrize("cut", range(len(BEGIN + HOSTILE + END)))
def test_a_hostile_paste_is_text_however_it_is_split(cut: int) -> None:
    whole = f"{BEGIN}{HOSTILE}{END}z"
    found = read(whole[:cut], whole[cut:]) if cut else read(whole)
    assert [type(event) for event in found] == [events.Paste, events.Key]
    paste, key = found
    assert isinstance(paste, events.Paste)
    assert pasted(paste.text) == SAFE
    assert isinstance(key, events.Key)
    assert key.key == "z"


def test_input_that_is_not_a_paste_passes_immediately_and_unchanged() -> None:
    gate = PasteGate()
    for piece in ("a", "\x1b", "[A", "\x1b[<0;1;1M", "\x1b[20", "1~", "\x1b[200", "x", "ё漢"):
        assert gate.feed(piece) == piece


def test_a_paste_is_recognized_if_its_start_arrives_in_single_characters() -> None:
    gate = PasteGate()
    said = "".join(gate.feed(sign) for sign in f"k{BEGIN}a\x1b]b{END}\x1b[A{BEGIN}\x1b{END}")
    assert "\x1b]" not in said
    assert restored(said) == f"k{BEGIN}a\x1b]b{END}\x1b[A{BEGIN}\x1b{END}"
