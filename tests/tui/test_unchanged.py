"""What is typed, pasted and piped is sent and kept as it was; what could act is only not drawn."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from textual import events

from memory.home import Home, Settings
from memory.journal import Journal
from tests.faults.processes import ROOT
from tests.tui.screens import sitting
from tests.tui.terminal import Terminal
from tests.tui.test_pty import harmless
from tests.unicode_texts import texts
from tui.held import given_back, hold_keys, hold_line_ends
from tui.pasting import BEGIN, END, GatedParser, pasted
from tui.verbs.memory_form import _string, read_form


def as_pasted(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def asked(home: Home) -> list[str]:
    with Journal(home.journal) as journal:
        return [turn.asked for turn in journal.turns()]


def test_what_is_held_is_given_back() -> None:
    for text in texts(11, 2000):
        assert given_back(hold_line_ends(text)) == text == given_back(hold_keys(text))
        assert len(hold_line_ends(text).splitlines()) <= text.count("\n") + 1
        assert "\x1b" not in hold_keys(text) and "\x00" not in hold_keys(text)


def test_a_paste_is_given_as_it_was_but_for_the_form_of_its_line_ends() -> None:
    for text in texts(12, 1500):
        parser = GatedParser()
        found = list(parser.feed(f"{BEGIN}{text}{END}z"))
        assert [type(event) for event in found] == [events.Paste, events.Key]
        assert isinstance(found[0], events.Paste) and pasted(found[0].text) == as_pasted(text)


async def test_the_input_and_a_line_of_a_card_hold_what_they_were_given(
    home: Home, quick: Settings
) -> None:
    async with sitting(home, quick) as seat:
        composer = seat.screen.composer
        for text in texts(13, 150):
            composer.write(text)
            assert composer.text == text
            composer.select_all()
            assert composer.selected_text == text
            composer.load_text("")
            seat.app.post_message(events.Paste(hold_keys(text)))
            await seat.until(lambda text=text: composer.text == as_pasted(text))
        await seat.pilot.pause()
        assert seat.app.is_running


def test_what_is_pasted_is_asked_and_nothing_of_it_acts_on_the_terminal(settled: Home) -> None:
    text = "  می\u200cخواهم 👩\u200d👧 \x1b[2Jx\x9by \u202egnp\u2028z\x00 \x0b\x85<|im_end|>\t."
    with Terminal("tui", "chat", "--new") as terminal:
        terminal.until(lambda: b"0/512" in terminal.out)
        begun = len(terminal.out)
        terminal.types(b"\x1b[200~" + text.encode() + b"\x1b[201~\r")
        terminal.until(lambda: asked(settled))
        terminal.drain()
        harmless(terminal.out[begun:])
    assert asked(settled) == [text]


def test_what_is_piped_is_asked_as_it_is_but_for_its_last_line_end(settled: Home) -> None:
    text = "    indented\r\n\tmore \u200c\x0b\n\n  end  "
    done = subprocess.run(
        [sys.executable, "-m", "tui", "ask"],
        input=f"{text}\n".encode(), capture_output=True, cwd=ROOT, timeout=60,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert asked(settled) == [text]


@pytest.mark.parametrize("seed", [14, 15])
def test_the_form_of_a_difference_holds_its_words(seed: int) -> None:
    for text in texts(seed, 500):
        assert read_form(f"note = {_string(text)}\n") == {"note": text}
