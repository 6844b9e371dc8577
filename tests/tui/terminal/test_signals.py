"""SIGTERM and SIGHUP: the terminal is restored, the draft and the partial reply are saved."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from memory.difference import Contrast, Difference, Moment, Turn, new_id, now
from memory.files.atomic_write import unfinished
from memory.files.sqlite_file import alone, log_of
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.transfer.export_schema import header, to_line
from memory.upkeep.backup import asides, backup
from memory.upkeep.health import check
from tests.support.processes import ROOT
from tests.tui.pseudo_terminal import Terminal
from trainer.night.run import try_lock

ENDING = (signal.SIGTERM, signal.SIGHUP)


def started(*verb: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tui", *verb],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
    )


def turns(home: Home) -> list[Turn]:
    with Journal(home.journal) as journal:
        return journal.turns.all()


def journal_of(home: Home) -> list[Turn]:
    """The turns of a journal that is whole, and that no process uses."""
    with alone(home.journal):
        pass
    with Journal(home.journal) as journal:
        assert check(home, journal) == ()
        found = journal.turns.all()
        assert {item.turn for item in journal.differences.all()} == {turn.id for turn in found}
    return found


def is_open(pid: int, path: Path) -> bool:
    """Whether a process has a file open (Linux)."""
    with suppress(OSError):
        return any(link.readlink() == path for link in Path(f"/proc/{pid}/fd").iterdir())
    return False


def drafts(home: Home) -> list[str]:
    with Journal(home.journal) as journal:
        found = []
        while (text := journal.drafts.pop()) is not None:
            found.append(text)
        return found


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)]
)
def test_after_a_signal_the_terminal_is_restored_and_the_draft_kept(
    settled: Home, number: signal.Signals
) -> None:
    with Terminal("tui", "chat", "--new") as terminal:
        before = termios.tcgetattr(terminal.master)
        terminal.until(lambda: b"0/512" in terminal.out)
        assert termios.tcgetattr(terminal.master) != before
        terminal.types(b"half a \x1b\rmessage")
        terminal.until(lambda: b"message" in terminal.out)
        terminal.process.send_signal(number)
        terminal.until(lambda: terminal.process.poll() is not None)
        assert terminal.process.returncode == 128 + number
        assert termios.tcgetattr(terminal.master) == before
        terminal.drain()
        if number == signal.SIGTERM:
            assert b"\x1b[?1049l" in terminal.out
            assert b"\x1b[?25h" in terminal.out
        assert b"Traceback" not in terminal.out
    with Terminal("tui", "chat", "--new") as terminal:
        terminal.until(lambda: b"half a" in terminal.out and b"message" in terminal.out)
        terminal.until(lambda: b"0/512" in terminal.out)
        terminal.types(b"!\r")
        terminal.until(lambda: turns(settled))
    assert turns(settled)[0].asked == "half a \nmessage!"
    assert drafts(settled) == []


@pytest.mark.parametrize(
    "ending", ["the terminal closes", pytest.param("SIGTERM", marks=pytest.mark.slow)]
)
def test_a_chat_ended_during_a_reply_keeps_the_reply_so_far_and_the_draft(
    settled: Home, tiny: Path, ending: str
) -> None:
    """The tiny model's replies have no end, so the reply is cut off or fills the context."""
    settled.settings_file.write_text(
        f'[model]\npath = "{tiny}"\n[memory]\ndense = false\n[night]\nenabled = false\n'
        "[sampling]\nmax_tokens = 4000\ntemperature = 0.0\n"
    )
    asked = "Tell me a very long story."
    with started("ask", asked, "--thread", "whole", "--no-recall", "--json") as process:
        whole = json.loads(process.communicate(timeout=60)[0])["reply"]
    assert "\ufffd" in whole[:20]
    with Terminal("tui", "chat", "--new") as terminal:
        terminal.until(lambda: b"0/" in terminal.out)
        terminal.types(f"{asked}\r".encode())
        terminal.until(lambda: "\ufffd".encode() in terminal.out)  # the tiny model's first word
        terminal.types(b"and then")
        terminal.until(lambda: b"and then" in terminal.out)
        if ending == "SIGTERM":
            terminal.process.send_signal(signal.SIGTERM)
            terminal.until(lambda: terminal.process.poll() is not None)
            assert terminal.process.returncode == 128 + signal.SIGTERM
        else:
            terminal.hang_up()
            assert terminal.process.wait(60) == 128 + signal.SIGHUP
    assert drafts(settled) == ["and then"]
    _whole, kept = turns(settled)
    assert kept.asked == asked
    assert kept.replied
    assert whole.startswith(kept.replied)


def test_a_draft_that_cannot_be_saved_is_printed_at_exit(
    settled: Home,
) -> None:
    with Terminal("tui", "chat", "--new") as terminal:
        terminal.until(lambda: b"0/512" in terminal.out)
        terminal.types(b"half a message")
        terminal.until(lambda: b"half a message" in terminal.out)
        settled.journal.unlink()
        terminal.process.send_signal(signal.SIGTERM)
        terminal.until(lambda: terminal.process.poll() is not None)
        terminal.drain()
        after = terminal.out.rpartition(b"\x1b[?1049l")[2]
        assert b"could not save the unsent message" in after
        assert b"half a message" in after
        assert b"Traceback" not in after


def test_a_chat_that_is_quit_normally_keeps_no_draft(settled: Home) -> None:
    with Terminal("tui", "chat", "--new") as terminal:
        terminal.until(lambda: b"0/512" in terminal.out)
        terminal.types(b"never mind\x11")
        assert terminal.process.wait(60) == 0
    assert drafts(settled) == []


def test_every_draft_is_stored_once_and_returned_latest_first(home: Home) -> None:
    with Journal(home.journal) as journal:
        for text in ("one", "two", "one", "‌ three\n"):
            journal.drafts.add(text)
    assert drafts(home) == ["‌ three\n", "two", "one"]


@pytest.mark.parametrize("number", ENDING)
def test_a_terminated_ask_keeps_the_text_so_far(settled: Home, number: signal.Signals) -> None:
    settled.settings_file.write_text("[memory]\ndense = false\n[sampling]\nmax_tokens = 4000\n")
    with started("ask", "Count for ever.", "--stream") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while '"delta"' not in process.stdout.readline():
            pass
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    (turn,) = turns(settled)
    if turn.stopped:  # else the reply had ended before the signal
        assert process.returncode == 128 + number
        assert '"done"' in out
        assert "the partial reply is kept" in err
    assert turn.replied
    assert "Traceback" not in err


def mark(home: Home) -> None:
    at = now() - timedelta(days=2)  # the last night was due after it
    with Journal(home.journal) as journal:
        for number in range(3):
            turn = Turn(new_id(), "t", at, f"What is {number} made of?", "Of nothing.", "m", None)
            journal.turns.add(turn)
            journal.differences.add(
                Difference(
                    new_id(), turn.id, "t", at, Moment.ERROR, turn.asked, turn.replied,
                    contrast=Contrast(sounds=f"Of {number} stones."),
                )
            )  # fmt: skip


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("verb", [("train",), ("night", "--once")])
def test_a_terminated_training_leaves_nothing_incomplete_and_no_traceback(
    settled: Home, number: signal.Signals, verb: tuple[str, ...]
) -> None:
    mark(settled)
    settled.settings_file.write_text('[memory]\ndense = false\n[night]\ntime = "00:00"\n')
    with started(*verb) as process:
        assert process.stderr is not None
        said = ""
        while "compose" not in said:
            said += process.stderr.readline()
            assert process.poll() is None, said
        process.send_signal(number)
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert "the training was stopped" in err
    assert "Traceback" not in err
    assert not list(settled.adapters.glob("*"))
    for lock in ("training.lock", "night.lock"):
        with try_lock(settled.state / lock) as free:
            assert free
    with Journal(settled.journal) as journal:
        assert all(night.state == "waiting" for night in journal.nights.latest(5))


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize(
    "verb", [("import", "in.jsonl"), ("backup", "out.sqlite"), ("export", "out.jsonl")]
)
def test_a_terminated_command_that_reads_or_writes_a_file_exits_cleanly(
    settled: Home, tmp_path: Path, number: signal.Signals, verb: tuple[str, str]
) -> None:
    mark(settled)
    with Journal(settled.journal) as journal:
        lines = [to_line(replace(item, asked="other")) for item in journal.differences.all()]
    (tmp_path / "in.jsonl").write_text("\n".join([header(3), *lines]))
    before = sorted(settled.data.rglob("*"))
    command = ["-m", "tests.tui.terminal.signalled_process", str(int(number)), "memory"]
    process = subprocess.run(
        [sys.executable, *command, verb[0], str(tmp_path / verb[1])],
        capture_output=True, cwd=ROOT, text=True, timeout=60,
    )  # fmt: skip
    assert process.returncode == 128 + number, process.stderr
    assert f"ended by {number.name}; everything saved so far is kept" in process.stderr
    assert "Traceback" not in process.stderr
    assert not process.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "in.jsonl"]
    assert sorted(settled.data.rglob("*")) == before
    with Journal(settled.journal) as journal:
        assert journal.check() is None
        assert len(journal.differences.all()) == 3


@pytest.mark.parametrize("number", ENDING)
def test_a_terminated_comparison_exits_cleanly_and_changes_nothing(
    settled: Home, number: signal.Signals
) -> None:
    mark(settled)
    before = journal_of(settled)
    prompts = [word for n in range(40) for word in ("--prompt", f"What is {n} made of?")]
    with started("compare", "base", "base+recall", *prompts) as process:
        assert process.stdout is not None
        while "»" not in process.stdout.readline():  # the first of five batches
            assert process.poll() is None
        process.send_signal(number)
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert err == f"discern: ended by {number.name}; everything saved so far is kept\n"
    assert journal_of(settled) == before


@pytest.mark.parametrize("number", ENDING)
def test_a_restore_terminated_while_it_copies_changes_nothing(
    settled: Home, tmp_path: Path, number: signal.Signals
) -> None:
    mark(settled)
    copy = tmp_path / "copy.sqlite"
    with Journal(settled.journal) as journal:
        backup(journal, copy)
    with closing(sqlite3.connect(copy)) as large, large:  # so that copying takes a while
        large.execute("create table filler as select randomblob(200000000)")
    before = journal_of(settled)
    with started("memory", "restore", str(copy), "--yes") as process:
        while not unfinished(settled.data):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(number)
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert err == f"discern: ended by {number.name}; everything saved so far is kept\n"
    assert not unfinished(settled.data)
    assert not asides(settled.journal)
    assert journal_of(settled) == before


@pytest.mark.parametrize("number", ENDING)
def test_a_forget_terminated_while_it_waits_for_the_journal_is_done_or_not(
    settled: Home, number: signal.Signals
) -> None:
    mark(settled)
    before = journal_of(settled)
    with Journal(settled.journal) as journal:
        gone, *_rest = journal.differences.all()
    with closing(sqlite3.connect(settled.journal, isolation_level=None)) as busy:
        busy.execute("begin immediate")
        with started("memory", "forget", gone.id, "--yes") as process:
            log = log_of(settled.journal)
            while not is_open(process.pid, log):
                assert process.poll() is None
                time.sleep(0.002)
            process.send_signal(number)
            time.sleep(0.1)
            busy.execute("rollback")
            _out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert err == f"discern: ended by {number.name}; everything saved so far is kept\n"
    after = journal_of(settled)
    assert after in (before, [turn for turn in before if turn.id != gone.turn])


@pytest.mark.parametrize(
    ("verb", "most"),
    [
        ("forget", 8),
        ("restore", 8),
        pytest.param("forget", 200, marks=pytest.mark.slow),
        pytest.param("restore", 200, marks=pytest.mark.slow),
    ],
)
def test_a_signal_at_any_step_leaves_the_journal_as_before_or_as_after(
    tmp_path: Path, verb: str, most: int
) -> None:
    """`most` steps, spread evenly over all of them."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.tui.terminal.signalled_steps", str(tmp_path), verb, str(most)],
        capture_output=True, cwd=ROOT, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    outcomes = json.loads(done.stdout)
    assert outcomes["before"]
    assert sum(outcomes.values()) == most


@pytest.mark.parametrize("number", ENDING)
def test_the_night_service_exits_with_the_signal(settled: Home, number: signal.Signals) -> None:
    settled.settings_file.write_text("[memory]\ndense = false\n")
    with started("night") as process:
        assert process.stderr is not None
        assert "Next night:" in process.stderr.readline()
        process.send_signal(number)
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in err


def test_a_process_that_ignores_hangups_continues(settled: Home) -> None:
    child = f"tests.tui.terminal.signalled_process {int(signal.SIGHUP)}"
    command = f"{sys.executable} -m {child} memory export -"
    mark(settled)
    process = subprocess.run(
        ["sh", "-c", f"trap '' HUP; exec {command}"], capture_output=True, cwd=ROOT, timeout=60
    )
    assert process.returncode == 0
    assert process.stdout.count(b"\n") == 4
