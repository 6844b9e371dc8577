"""The real application on a pseudo-terminal: text never arrives as a control sequence."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from memory.difference import Contrast, Difference, Moment, State, Turn, new_id, now
from memory.journal.journal import Journal
from memory.sentence import verbatim
from memory.settings.paths import Home
from tests.tui.pseudo_terminal import Terminal
from trainer.report.report import Beside, Change, Fate, Measure, Report
from tui.terminal.crash import CRASH_FILE

CONTROLS = [
    "\x1b[2J", "\x1b[31m", "\x1bc", "\x1b]0;owned\x07", "\x1b]8;;http://evil.example\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07", "\x1bPq\x1b\\", "\x07", "\x08", "\x7f", "\x0c", "\x9b2J",
    "\x9d0;owned\x9c", "\x85", "\u202e", "\u2066", "\u200f",
]  # fmt: skip
HOSTILE = "\n".join(f"{control}PAY{n:02}" for n, control in enumerate(CONTROLS))
NEVER = [b"\x1b]52", b"\x1b]8;", b"\x1b]0;owned", b"\x1bPq", b"\x1bc", b"\xc2\x9b",
         b"\xc2\x9d", b"\xc2\x85", b"\x7f", b"\x07", "\u202e".encode(), "\u2066".encode(),
         "\u200f".encode()]  # fmt: skip
MARKUP = "[@click=app.quit]leave[/]"


def harmless(out: bytes) -> None:
    out = re.sub(rb"\x1b\]22;[a-z-]*\x07", b"", out)  # Textual's own: the shape of the pointer
    for never in NEVER:
        at = out.find(never)
        assert at < 0, f"{never!r} arrived: {out[max(0, at - 80) : at + 80]!r}"
    for n, control in enumerate(CONTROLS):
        assert f"{control}PAY{n:02}".encode() not in out


def test_journal_text_never_controls_the_terminal(settled: Home) -> None:
    with Journal(settled.journal) as journal:
        journal.turns.add(
            Turn(new_id(), "t", now(), MARKUP, HOSTILE, "m\x1b[2J", "a\x1b]52;c;eA==\x07")
        )
    with Terminal("tui", "chat", "--thread", "t") as terminal:
        terminal.until(lambda: b"PAY16" in terminal.out and b"PAY00" in terminal.out)
        terminal.until(lambda: b"leave[/]" in terminal.out)
        for row in range(1, 41):  # click on each row, including those with markup
            for column in (5, 25):  # where it would be a link, and where it is text
                at = f"0;{column};{row}"
                terminal.types(f"\x1b[<{at}M\x1b[<{at}m".encode())
        terminal.types(b"\x1b[200~still-here\x1b[201~")
        terminal.until(lambda: b"still-here" in terminal.out)
        assert terminal.process.poll() is None
        harmless(terminal.out)


SCREENS = (
    ("memory", "own/PAY"),
    ("sessions", "older"),
    ("report", "Report 1 of 1"),
    ("training", "No training is running"),
    ("context PAY", "Prompt for the next message"),
    ("compare", "side"),
    ("why", "Recalled for"),
    ("contrast", "got wrong"),
)
"""A command, and words that its screen or card alone shows."""


def shows(terminal: Terminal, begun: int, words: bytes) -> bool:
    """Whether the screen of these words was painted since, with hostile text on it."""
    return words in terminal.out[begun:] and b"PAY" in terminal.out[begun:]


def writes_again(terminal: Terminal, begun: int) -> bool:
    """Whether the input has the focus: its cursor is on the first letter of the hint."""
    return b"msk something" in terminal.out[begun:]


def test_no_screen_passes_control_sequences(settled: Home) -> None:
    with Journal(settled.journal) as journal:
        old = Turn(new_id(), f"older {HOSTILE[:40]}", now(), HOSTILE, HOSTILE, "m", None)
        mark = Difference(
            id=new_id(), turn=old.id, thread=old.thread, at=now(), moment=Moment.ERROR,
            kind=f"own/{CONTROLS[0]}PAY", asked=HOSTILE, replied=HOSTILE,
            contrast=Contrast(HOSTILE, HOSTILE, HOSTILE), state=State.WAITING, note=HOSTILE,
        )  # fmt: skip
        journal.turns.add(old)
        journal.differences.add(mark)
        said = replace(old, id=new_id(), thread="t", recalled=(mark.id,))
        journal.turns.add(said)
        journal.differences.add(replace(mark, id=new_id(), turn=said.id, thread="t"))
    report = Report(
        "rejected", verbatim(HOSTILE), now(), 1.0, HOSTILE, HOSTILE,
        fates=(Fate(mark.id, "contrast", HOSTILE, HOSTILE, HOSTILE, HOSTILE, "repelled",
                    cause=verbatim(HOSTILE),
                    reworded=((HOSTILE, HOSTILE),), advice=verbatim(HOSTILE)),),
        measures=(Measure("lessons", 0, 1, False, verbatim(HOSTILE)),),
        changes=(Change(HOSTILE, HOSTILE, "x"),),
        notes=(verbatim(HOSTILE),), advice=(verbatim(HOSTILE),),
        beside=(Beside(verbatim(HOSTILE), 0, 0),),
    )  # fmt: skip
    folder = settled.runs / "20260310T031500"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report.to_json()))
    events = (
        {
            "at": 0.0,
            "phase": "start",
            "pid": 1,
            "model": HOSTILE,
            "tries": 1,
            "began": now().isoformat(),
        },
        {"at": 0.1, "phase": "beside", "lessons": [[mark.id, HOSTILE, 1]]},
        {"at": 0.2, "phase": HOSTILE},
        {
            "at": 0.3,
            "phase": "report",
            "verdict": "rejected",
            "sentence": HOSTILE,
            "adapter": HOSTILE,
        },
    )
    (folder / "events.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    with Terminal("tui", "chat", "--thread", "t") as terminal:
        terminal.until(lambda: b"PAY16" in terminal.out and b"/512" in terminal.out)
        for command, words in SCREENS:
            begun = len(terminal.out)
            terminal.types(b"\x1b[200~/" + command.encode() + b"\x1b[201~\r")
            terminal.until(partial(shows, terminal, begun, words.encode()))
            terminal.drain()
            begun = len(terminal.out)
            terminal.types(b"\x1b[27u" * 3)  # Esc: out of a line, a card, a screen
            terminal.until(partial(writes_again, terminal, begun))
        terminal.types(b"\x1b[200~still-here\x1b[201~")
        terminal.until(lambda: b"still-here" in terminal.out)
        harmless(terminal.out)


@pytest.mark.parametrize("colour", [True, False])
def test_commands_use_colours_unless_disabled(settled: Home, colour: bool) -> None:
    folder = settled.runs / "20260310T031500"
    folder.mkdir(parents=True)
    report = Report("published", verbatim(HOSTILE), now(), 1.0, "m")
    (folder / "report.json").write_text(json.dumps(report.to_json()))
    with Terminal("tui", "report", NO_COLOR="" if colour else "1") as terminal:
        terminal.until(lambda: b"PAY16" in terminal.out)
        harmless(terminal.out)
        assert (b"\x1b[32m" in terminal.out) is colour
        assert (b"\x1b" in terminal.out) is colour


def test_an_unexpected_error_leaves_one_sentence_and_a_log_without_user_text(
    settled: Home,
) -> None:
    with Terminal("tests.tui.chat.breaking_process", "chat", "--new") as terminal:
        terminal.until(lambda: b"0/512" in terminal.out)
        terminal.types(b"\x1b[5~")  # in a handler: the error is shown, and the chat continues
        terminal.until(lambda: b"You can continue the chat" in terminal.out)
        assert (settled.state / CRASH_FILE).read_text().startswith("KeyError\n")
        (settled.state / CRASH_FILE).unlink()
        terminal.types(b"\x1bOP")  # a screen that cannot be made: the chat ends
        terminal.until(lambda: b"internal error (KeyError)" in terminal.out)
        assert terminal.process.wait(30) == 1
    assert b"Traceback" not in terminal.out
    assert b"a person said" not in terminal.out[terminal.out.find(b"internal error (KeyError)") :]
    left = (settled.state / CRASH_FILE).read_text()
    assert left.startswith("KeyError\n")
    assert "breaking_process.py" in left
    assert "that a person said" not in left.replace(
        'raise KeyError("words that a person said")', ""
    )
    assert (settled.state / CRASH_FILE).stat().st_mode & 0o777 == 0o600


def test_a_clipboard_cannot_press_keys(settled: Home) -> None:
    with Terminal("tui", "chat", "--new") as terminal:
        terminal.until(lambda: b"0/512" in terminal.out)
        keys = b"\x1b]0;x\x11\x07\x1b\x07/quit\r\x1b[31m"  # Ctrl+Q, Ctrl+G, a command and Enter
        terminal.types(b"\x1b[200~first" + keys + b"still-here\x1b[201~")
        terminal.until(lambda: b"first" in terminal.out and b"still-here" in terminal.out)
        assert terminal.process.poll() is None
        harmless(terminal.out)


def test_a_split_control_sequence_is_removed(settled: Home, tmp_path: Path) -> None:
    script = tmp_path / "script.txt"
    script.write_bytes(HOSTILE.encode())
    with Terminal("tests.tui.terminal.pty_process", "chat", "--new", str(script)) as terminal:
        terminal.until(lambda: b"0/512" in terminal.out)
        terminal.types(b"Hello\r")
        terminal.until(lambda: b"PAY16" in terminal.out)
        harmless(terminal.out)
