"""Typed, pasted and piped text is sent and stored unchanged; control characters are not drawn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from typing import Any

import pytest
from textual import events

from memory.difference import Difference, Turn, new_id, now
from memory.journal.journal import Journal
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.support.command_line import call, said
from tests.support.processes import ROOT
from tests.support.unicode_texts import texts
from tests.tui.pseudo_terminal import Terminal
from tests.tui.seat import sitting
from tests.tui.terminal.test_pty import harmless
from tui.cli.memory.edit_form import _string, read_form
from tui.terminal.input_stand_ins import replace_escapes, replace_line_ends, restored
from tui.terminal.paste import BEGIN, END, pasted
from tui.terminal.textual_patches.drivers import SafeParser
from tui.widgets.composer.composer import Composer


def as_pasted(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def asked(home: Home) -> list[str]:
    with Journal(home.journal) as journal:
        return [turn.asked for turn in journal.turns.all()]


def test_replaced_line_ends_and_escapes_can_be_restored() -> None:
    for text in texts(11, 2000):
        assert restored(replace_line_ends(text)) == text == restored(replace_escapes(text))
        assert len(replace_line_ends(text).splitlines()) <= text.count("\n") + 1
        assert "\x1b" not in replace_escapes(text)
        assert "\x00" not in replace_escapes(text)


def test_a_paste_is_unchanged_except_for_its_line_endings() -> None:
    for text in texts(12, 1500):
        parser = SafeParser()
        found = list(parser.feed(f"{BEGIN}{text}{END}z"))
        assert [type(event) for event in found] == [events.Paste, events.Key]
        assert isinstance(found[0], events.Paste)
        assert pasted(found[0].text) == as_pasted(text)


def holds(composer: Composer, text: str) -> bool:
    return composer.text == text


async def test_the_input_and_a_card_keep_their_text(home: Home, quick: Settings) -> None:
    async with sitting(home, quick) as seat:
        composer = seat.screen.composer
        for text in texts(13, 150):
            composer.write(text)
            assert composer.text == text
            composer.select_all()
            assert composer.selected_text == text
            composer.load_text("")
            seat.app.post_message(events.Paste(replace_escapes(text)))
            await seat.until(partial(holds, composer, as_pasted(text)))
        await seat.pilot.pause()
        assert seat.app.is_running


def test_pasted_text_is_sent_and_does_not_control_the_terminal(settled: Home) -> None:
    text = "  می\u200cخواهم 👩\u200d👧 \x1b[2Jx\x9by \u202egnp\u2028z\x00 \x0b\x85<|im_end|>\t."
    with Terminal("tui", "chat", "--new") as terminal:
        terminal.until(lambda: b"0/512" in terminal.out)
        begun = len(terminal.out)
        terminal.types(b"\x1b[200~" + text.encode() + b"\x1b[201~\r")
        terminal.until(lambda: asked(settled))
        terminal.drain()
        harmless(terminal.out[begun:])
    assert asked(settled) == [text]


def test_piped_text_is_sent_without_its_last_newline(settled: Home) -> None:
    text = "    indented\r\n\tmore \u200c\x0b\n\n  end  "
    done = subprocess.run(
        [sys.executable, "-m", "tui", "ask"],
        input=f"{text}\n".encode(), capture_output=True, cwd=ROOT, timeout=60,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert asked(settled) == [text]


def test_marked_text_is_unchanged_in_show_list_history_and_export(
    settled: Home, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: list[Difference] = []
    with Memory.open(settled, settings, dense=False) as memory:
        for number, text in enumerate(texts(16, 90)):
            turn = Turn(new_id(), f"t{number}", now(), text, "No.", "m")
            memory.journal.turns.add(turn)
            lines: dict[str, Any] = {
                "missed": text,
                "lost": text,
                "sounds": f"a{text}",
                "note": text,
            }
            kept.append(memory.mark(turn, MarkRequest("error", **lines)))
    shown = [said(capsys, "memory", "show", item.id) for item in kept]
    listed = {item["id"]: item for item in said(capsys, "memory", "list")}
    exported = [json.loads(line) for line in call(capsys, "memory", "export", "-")[1].splitlines()]
    lines_of = {line["id"]: line for line in exported[1:]}
    for item, found in zip(kept, shown, strict=True):
        contrast = {name: getattr(item.contrast, name) for name in ("missed", "lost", "sounds")}
        assert (found["asked"], found["contrast"], found["note"]) == (
            item.asked,
            contrast,
            item.note,
        )
        assert listed[item.id]["contrast"] == contrast
        line = lines_of[item.id]
        assert (line["asked"], line["note"]) == (item.asked, item.note)
        assert {name: line[name] for name in contrast} == contrast
    history = said(capsys, "memory", "history", kept[0].id)
    assert [version["asked"] for version in history] == [kept[0].asked]


def test_letters_that_need_a_joiner_keep_it(
    settled: Home, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "می\u200cخواهم 👩\u200d👩\u200d👧"
    with Memory.open(settled, settings, dense=False) as memory:
        turn = Turn(new_id(), "t", now(), text, text, "m")
        memory.journal.turns.add(turn)
        item = memory.mark(turn, MarkRequest("error", note=text))
    for words in (["memory", "show", item.id], ["sessions", "show", "t"], ["memory", "list"]):
        assert text in call(capsys, *words)[1], words


@pytest.mark.parametrize("seed", [14, 15])
def test_the_edit_form_has_the_text_of_the_difference(seed: int) -> None:
    for text in texts(seed, 500):
        assert read_form(f"note = {_string(text)}\n") == {"note": text}
