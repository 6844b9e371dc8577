"""The command line as a script uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from memory.settings.paths import Home
from tests.support.command_line import call, said
from tui.cli.main import VERBS


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_command_has_help_and_is_in_the_overview(
    capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    code, out, _err = call(capsys, verb, "--help")
    assert code == 0
    assert "Usage: discern " + verb in out
    assert verb in call(capsys, "--help")[1]


def test_a_mark_is_recalled_when_the_question_is_repeated(
    configured: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    first = said(capsys, "ask", "What is the capital of Zubrowka?")
    assert {"reply", "thread", "turn", "recalled", "adapter"} <= first.keys()
    assert first["recalled"] == []
    assert first["adapter"] is None
    kept = said(
        capsys, "mark", "--moment", "error", "--kind", "fact", "--expected", "Lutz.",
        "--note", "a city",
    )  # fmt: skip
    assert kept["turn"] == first["turn"]
    assert kept["kind"] == "tactical/fact"
    assert kept["contrast"]["sounds"] == "Lutz."
    again = said(capsys, "ask", "capital of Zubrowka?")
    assert [item["id"] for item in again["recalled"]] == [kept["id"]]
    assert again["thread"] != first["thread"]
    without = said(capsys, "ask", "capital of Zubrowka?", "--no-recall", "--thread", "work")
    assert without["recalled"] == []
    assert without["thread"] == "work"
    assert said(capsys, "ask", "and now?", "--continue")["thread"] == "work"


def test_piped_text_is_added_to_the_question(configured: Home, tiny: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tui", "ask", "Review this.", "--json"],
        input="def f(): pass",
        capture_output=True,
        text=True,
        check=True,
    )
    turn = json.loads(done.stdout)["turn"]
    from memory.journal.journal import Journal

    with Journal(configured.journal) as journal:
        assert journal.turns.get(turn).asked == "Review this.\n\ndef f(): pass"


def test_differences_can_be_listed_searched_and_forgotten(
    configured: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "ask", "What is the capital of Zubrowka?")
    kept = said(capsys, "mark", "--moment", "error", "--expected", "\x1b[31mLutz.\u202e")
    assert [item["id"] for item in said(capsys, "memory", "list")] == [kept["id"]]
    assert said(capsys, "memory", "show", kept["id"][:6])["asked"].endswith("Zubrowka?")
    found = said(capsys, "memory", "search", "the capital of Zubrowka")
    assert found[0]["recalled"]
    assert found[0]["score"] > 0.9
    for words in (("list",), ("show", kept["id"]), ("search", "capital of Zubrowka")):
        _code, out, _err = call(capsys, "memory", *words)
        assert kept["id"][:8] in out
        assert not {"\x1b", "\u202e"} & set(out)
    assert said(capsys, "memory", "forget", kept["id"])["forgotten"] == kept["id"]
    assert said(capsys, "memory", "list") == []


def test_the_thirty_kinds_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(said(capsys, "memory", "kinds")) == 35


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ask"], "no question given"),
        (["ask", "hi", "--model", "/nowhere.gguf"], "there is no model at /nowhere.gguf"),
        (["ask", "hi", "--thread", "\n"], "not a valid thread name"),
        (["mark", "--moment", "error"], "there is no reply to mark yet"),
        (["mark", "--moment", "sad"], "'sad' is not one of"),
        (["mark", "--moment", "error", "--turn", "ffff"], "no turn has the id 'ffff'"),
        (["memory", "show", "ffff"], "no difference has the id 'ffff'"),
        (["memory", "forget", ""], "no difference has the id ''"),
        (["adapters", "use", "ffff"], "no adapter id starts with 'ffff'"),
        (["adapters", "rollback"], "no earlier adapter to return to"),
        (["aks", "hi"], "did you mean `discern ask`"),
        (["chat"], "the chat needs a terminal"),
        (["starter", "build"], "set how long to train"),
    ],
)
def test_bad_input_gives_one_sentence_and_exit_code_2(
    configured: Home, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_nothing_to_train_is_not_a_failure(
    configured: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _out, err = call(capsys, "train")
    assert code == 0
    assert "nothing to train" in err
    assert said(capsys, "train")["verdict"] == "nothing"
    assert said(capsys, "report") is None
    assert said(capsys, "adapters", "list") == []
    assert said(capsys, "adapters", "off") == {"current": None, "waiting": None}
    assert said(capsys, "adapters", "on") == {"current": None}


def test_an_error_in_the_settings_is_named(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.settings_file.write_text("[model]\npaht = 3\n")
    code, _out, err = call(capsys, "ask", "hi")
    assert code == 2
    assert "unknown key model.paht" in err
    code, out, _err = call(capsys, "doctor")
    assert code == 2
    assert "unknown key model.paht" in out


def test_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "chromadb", "llama_cpp", "langgraph", "textual", "numpy", "transformers")
    probe = (
        "import sys; from tui.cli.main import run; run(['--help']); run(['ask', '--help']);"
        f"bad = [name for name in {heavy!r} if name in sys.modules]; sys.exit(bool(bad))"
    )
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True).returncode == 0


def test_windows_is_refused_with_one_sentence_before_unix_modules_are_imported() -> None:
    probe = (
        "import sys\n"
        "for name in ('fcntl', 'grp', 'pty', 'pwd', 'resource', 'termios'): sys.modules[name] = None\n"
        "from tui.cli.main import main\n"
        "sys.platform = 'win32'\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "discern: Windows is not supported. Run Discern in WSL 2.\n"
