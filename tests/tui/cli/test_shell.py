"""The command line in a shell: help, streams, Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.support.command_line import call
from tests.support.processes import ROOT
from tui.cli.main import discern, run

ENVIRONMENT = {"PYTHONPATH": str(ROOT)}


def walk(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from walk(below, (*words, name))


EVERY = list(walk(discern))


def test_the_command_tree_is_walked_completely() -> None:
    assert {(), ("ask",), ("web",), ("memory", "import"), ("model", "pull")} <= set(EVERY)
    assert len(EVERY) > 50


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_help_page_shows_the_usage(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, out, _err = call(capsys, *words, "--help")
    assert code == 0
    _before, _, examples = out.partition("Examples:\n")
    assert " ".join(("discern", *words)) in examples


# --- asking ----------------------------------------------------------------------------------------


def lines(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_json_stream_has_every_event(
    configured: Home,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(capsys, "ask", "What is the capital of Zubrowka?")[0] == 0
    assert call(capsys, "mark", "--moment", "error", "--expected", "Lutz.")[0] == 0
    code, out, _err = call(capsys, "ask", "capital of Zubrowka?", "--stream", "--thread", "work")
    assert code == 0
    said = lines(out)
    assert [line["event"] for line in said[:1] + said[-1:]] == ["recalled", "done"]
    assert {line["event"] for line in said[1:-1]} == {"delta"}
    document = said[-1]
    assert "".join(str(line["text"]) for line in said[1:-1]).strip() == document["reply"]
    assert document["recalled"] == said[0]["recalled"] != []
    assert document["thread"] == "work"
    assert document["reason"] in ("end", "length")
    code, out, _err = call(capsys, "ask", "capital of Zubrowka?", "--json")
    assert code == 0
    assert {*lines(out)[0], "event"} == set(document)


def test_a_json_stream_has_no_control_characters(
    configured: Home,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from agent.chat.chat import Chat
    from agent.chat.graph import Delta

    say = Chat.say

    def hostile(self: Chat, text: str, **options: object) -> Iterator[object]:
        yield Delta("\x1b[31m\u202ered")
        yield from say(self, text)

    monkeypatch.setattr(Chat, "say", hostile)
    _code, out, _err = call(capsys, "ask", "hi", "--stream")
    assert not {"\x1b", "\u202e"} & set(out)
    assert lines(out)[0]["text"] == "\x1b[31m\u202ered"


@pytest.mark.parametrize("options", [(), ("--json",), ("--stream",)], ids=" ".join)
def test_ask_reports_a_refused_adapter_and_answers_with_the_base(
    configured: Home,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
) -> None:
    configured.adapters.mkdir(parents=True)
    os.mkfifo(configured.adapters / "current.json")
    code, out, err = call(capsys, "ask", "hi", *options)
    assert code == 0
    assert out.strip()
    assert "discern: the current adapter was not loaded: cannot read" in err
    assert "named pipe" in err
    assert err.count("\n") == 1
    assert call(capsys, "ask", "hi", "--no-adapter", *options)[2] == ""


LONG = """
import json, sys
from agent.llama.generation import Generation
from tui.cli.main import main
said = Generation.__iter__
def slow(self):
    import time
    for piece in said(self):
        yield piece
        time.sleep(0.05)
Generation.__iter__ = slow
main()
"""


def test_ctrl_c_keeps_the_text_so_far_and_exits_with_130(configured: Home) -> None:
    text = configured.settings_file.read_text().replace("max_tokens = 8", "max_tokens = 400")
    configured.settings_file.write_text(text)
    process = subprocess.Popen(
        [sys.executable, "-c", LONG, "ask", "Tell me everything.", "--stream"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **ENVIRONMENT},
    )
    assert process.stdout is not None
    while json.loads(process.stdout.readline())["event"] != "delta":
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    done = lines(out)[-1]
    assert (done["event"], done["reason"]) == ("done", "cancelled")
    assert err == "discern: stopped; the partial reply is kept\n"
    with Journal(configured.journal) as journal:
        turn = journal.turns.get(str(done["turn"]))
        assert turn.stopped
        assert turn.replied == done["reply"]


def test_overlong_input_is_refused_completely(
    configured: Home,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("+ a line of a diff\n" * 5000))
    code, out, err = call(capsys, "ask", "Review this.")
    assert (code, out) == (2, "")
    assert err.startswith("discern: the message takes ")
    assert "shorten the message" in err
    assert err.count("\n") == 1
    with Journal(configured.journal) as journal:
        assert journal.turns.all() == []


def test_input_that_is_not_text_is_refused(configured: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tui", "ask", "Review this."],
        input=b"\xff\xfe\x00\x80",
        capture_output=True,
        check=False,
        env={**os.environ, **ENVIRONMENT, "PYTHONUTF8": "1"},
        cwd=ROOT,
    )
    assert done.returncode == 2
    assert b"not UTF-8 text" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_pipe_that_never_ends_is_refused(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    home: Home,
) -> None:
    monkeypatch.setattr("tui.cli.chat.ask.MAX_PIPED_CHARACTERS", 5)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 100))
    code, _out, err = call(capsys, "ask")
    assert code == 2
    assert "longer than 5 characters, more than a model can read; pipe less" in err


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_break_ask(configured: Home, closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m tui ask --thread work Why? {closed}', sys.executable],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **ENVIRONMENT},
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Journal(configured.journal) as journal:
        assert [turn.asked for turn in journal.turns.in_thread("work")] == ["Why?"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_full_disk_under_the_output_is_reported_in_one_sentence(home: Home) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tui", "config", "show"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, **ENVIRONMENT},
        )
    assert done.returncode == 2
    assert done.stderr == "discern: cannot use the output: No space left on device\n"


@pytest.mark.parametrize("words", [("--new",), ("chat", "--new"), ("ask", "hi", "--thread", "x")])
def test_thread_options_are_mutually_exclusive(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, _out, err = call(capsys, *words, "-c")
    assert code == 2
    assert "mutually exclusive" in err


def test_continue_uses_the_last_thread(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    seen: list[dict[str, object]] = []

    def run_chat(*_given: object, **options: object) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr("tui.app.run_chat", run_chat)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    for words in (["--continue"], ["chat", "-c"]):
        assert run(words) == 0
    assert seen == [{"thread": None, "new": False, "setup": False}] * 2


# --- what takes a while ----------------------------------------------------------------------------


class Looked(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("memory", "export", "out.jsonl"), "writing"),
        (("memory", "backup", "out.sqlite"), "copying and verifying"),
        (("memory", "check"), "checking the journal"),
        (("model", "info"), "trying the model and checking free memory"),
        (("lessons",), "loading the model and composing lessons"),
        (("compare", "base", "base+recall", "--prompt", "hi"), "loading the model"),
        (("ask", "hi"), "loading the model"),
        (("doctor",), "checking the model"),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_slow_operations_show_progress_only_on_a_terminal(
    configured: Home,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    errors = Looked()
    monkeypatch.setattr("sys.stderr", errors)
    assert run([*words]) in (0, 1)
    shown = errors.getvalue()
    assert f"\r\x1b[K{said}" in shown
    assert shown.endswith("\r\x1b[K")  # nothing of it is left behind
    silent = io.StringIO()
    monkeypatch.setattr("sys.stderr", silent)
    (tmp_path / words[-1]).unlink(missing_ok=True)
    assert run([*words]) in (0, 1)
    assert said not in silent.getvalue()
    assert "\x1b" not in silent.getvalue()
