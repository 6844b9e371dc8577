"""`discern sessions` on a real home: list, show, rename, delete and export."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete

from memory.difference import Turn, new_id, now
from memory.journal.journal import Journal
from memory.mark_validation import MarkRequest
from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import read_settings
from tests.support.command_line import call, said
from tests.support.leftovers import left_in
from tui.cli.chat.sessions import sessions as group
from tui.cli.main import discern


@pytest.fixture(autouse=True)
def quiet_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())


@pytest.fixture
def told(home: Home) -> str:
    """Two threads, one of them with a mark; the mark's id."""
    with Memory.open(home, read_settings(home), dense=False) as memory:
        for thread, asked in (("to the sea", "Where is the plugharness?"), ("work", "Why?")):
            turn = Turn(new_id(), thread, now(), asked, "No\x1b[31m.", "starter@0a", None)
            memory.journal.turns.add(turn)
        return memory.mark(turn, MarkRequest("error", sounds="Because.")).id


def threads(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [item["name"] for item in said(capsys, "sessions", "list")]


@pytest.mark.parametrize("verb", sorted(group.commands))
def test_every_command_has_help_with_an_example(
    capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    code, out, _err = call(capsys, "sessions", verb, "--help")
    assert code == 0
    assert "Examples:" in out
    assert f"discern sessions {verb}" in out
    assert "--json" in out
    assert "..." not in call(capsys, "sessions", "--help")[1].partition("Commands:")[2]


def test_threads_are_listed_and_filtered(told: str, capsys: pytest.CaptureFixture[str]) -> None:
    work, sea = said(capsys, "sessions", "list")
    assert (work["name"], work["turns"], work["marks"]) == ("work", 1, 1)
    assert (sea["name"], sea["marks"], sea["asked"]) == (
        "to the sea",
        0,
        "Where is the plugharness?",
    )
    out = call(capsys, "sessions", "list")[1]
    assert "◆ 1" in out
    assert "today" in out
    assert "1 turn" in out
    assert "work" not in call(capsys, "sessions", "list", "--text", "PLUGHARNESS")[1]
    assert "No message contains 'x y'." in call(capsys, "sessions", "list", "--text", "x y")[1]


@pytest.mark.parametrize(
    "words",
    [
        ("sessions", "delete", "x"),
        ("sessions", "delete", "\udcff"),
        ("sessions", "show", "\udcff"),
        ("memory", "show", "\udcff"),
        ("memory", "supersede", "\udcff", "\udcfe"),
        ("mark", "--moment", "error", "--turn", "\udcff"),
    ],
    ids=ascii,
)
def test_an_unknown_thread_is_reported_in_one_sentence(
    home: Home, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("discern: ")
    assert err.count("\n") == 1


def test_an_empty_list_of_threads_says_so(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No threads yet" in call(capsys, "sessions", "list")[1]
    assert said(capsys, "sessions", "list") == []


def test_a_thread_is_shown_and_renamed(told: str, capsys: pytest.CaptureFixture[str]) -> None:
    _code, out, _err = call(capsys, "sessions", "show", "work")
    assert "# work" in out
    assert "> Why?" in out
    assert "> Because." in out
    assert "\x1b" not in out
    assert said(capsys, "sessions", "show", "work")["turns"][0]["marks"][0]["sounds"] == "Because."
    assert said(capsys, "sessions", "rename", "work", " play ") == {"old": "work", "name": "play"}
    assert threads(capsys) == ["play", "to the sea"]
    assert "Renamed play to work." in call(capsys, "sessions", "rename", "play", "work")[1]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["show", "wrok"], "there is no thread 'wrok'; did you mean 'work'?"),
        (
            ["delete", "nothing", "--yes"],
            "no thread 'nothing'; `discern sessions list` lists the threads",
        ),
        (["export", "wo"], "there is no thread 'wo'"),
        (["rename", "work", "to the sea"], "there is already a thread 'to the sea'"),
        (["rename", "work", ""], "'' is not a valid thread name; use 1 to 80 printable characters"),
        (["export", "work", "none/x.md"], "cannot write"),
        (["export", "work", "x.md", "--format", "pdf"], "'pdf' is not one of 'md', 'json'"),
        (["rename", "work"], "Missing argument 'NEW'"),
    ],
)
def test_bad_input_gives_one_sentence_and_exit_code_2(
    told: str, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    code, out, err = call(capsys, "sessions", *words)
    assert code == 2
    assert expected in err
    assert out == ""
    assert threads(capsys) == ["work", "to the sea"]


def test_a_thread_is_deleted_and_its_marks_stay(
    told: str, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = said(capsys, "sessions", "delete", "to the sea")
    assert (gone["thread"], gone["turns"], gone["marks"], gone["files"]) == ("to the sea", 1, 0, [])
    assert not left_in(home.data, ("plugharness", "to the sea"))
    code, out, _err = call(capsys, "sessions", "delete", "work", "--yes")
    assert code == 0
    assert out == "Deleted: work, 1 turn.\n1 mark stays in memory.\n"
    assert [item["id"] for item in said(capsys, "memory", "list")] == [told]
    assert "in a deleted thread" in call(capsys, "memory", "show", told)[1]
    assert said(capsys, "memory", "forget", told)["forgotten"] == told


@pytest.mark.parametrize(("answer", "left"), [("n\n", 2), ("y\n", 1)])
def test_deleting_on_a_terminal_asks_and_says_what_is_removed(
    told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    answer: str, left: int,
) -> None:  # fmt: skip
    typed = io.StringIO(answer)
    with monkeypatch.context() as patched:
        typed.isatty = lambda: True  # type: ignore[method-assign]
        patched.setattr("sys.stdin", typed)
        patched.setattr("sys.stdout.isatty", lambda: True, raising=False)
        code, out, _err = call(capsys, "sessions", "delete", "work")
    assert code == (0 if left == 1 else 1)
    assert "work: 1 turn will be deleted permanently; 1 mark stays in memory with its text." in out
    assert len(threads(capsys)) == left


def test_a_thread_is_exported_without_overwriting_a_file(
    told: str, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert said(capsys, "sessions", "export", "work") == {
        "path": str(tmp_path / "work.md"), "turns": 1, "marks": 1,
    }  # fmt: skip
    assert said(capsys, "sessions", "export", "work")["path"].endswith("work-2.md")
    assert said(capsys, "sessions", "export", "work", "--format", "json")["path"].endswith("k.json")
    assert "Wrote " in call(capsys, "sessions", "export", "work", "a.json")[1]
    assert json.loads((tmp_path / "a.json").read_text("utf-8"))["thread"] == "work"
    code, _out, err = call(capsys, "sessions", "export", "work", "work.md")
    assert code == 2
    assert "already exists; choose another file" in err
    piped = call(capsys, "sessions", "export", "work", "-", "--format", "json")[1]
    assert json.loads(piped)["turns"][0]["asked"] == "Why?"
    piped = call(capsys, "sessions", "export", "work", "-", "--json")[1]
    assert json.loads(piped)["turns"][0]["asked"] == "Why?"
    assert call(capsys, "sessions", "export", "work", "-", "--json", "--format", "md")[0] == 2
    code, _out, err = call(capsys, "sessions", "export", "work", "~no such user/a.md")
    assert code == 2
    assert "a.md: No such file or directory; choose a file" in err
    files = said(capsys, "sessions", "delete", "work")["files"]
    assert str(tmp_path / "a.json") in files


def test_names_are_completed(told: str, home: Home) -> None:
    def offered(*words: str) -> list[Any]:
        *before, typed = words
        complete = ShellComplete(discern, {}, "discern", "_DISCERN_COMPLETE")
        return [item.value for item in complete.get_completions(["sessions", *before], typed)]

    assert offered("show", "W") == ["work"]
    assert offered("rename", "") == ["work", "to the sea"]
    assert offered("delete", "x") == []
    home.journal.unlink()
    assert offered("show", "") == []
    assert not home.journal.exists()
    home.journal.write_bytes(b"no journal" * 100)
    assert offered("show", "") == []
    with pytest.raises(Exception, match="damaged"):
        Journal(home.journal)
