"""Bad input on the command line: one clear sentence, exit code 2, and nothing lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from memory.journal.journal import Journal
from memory.settings.paths import Home
from tui.cli.main import run

pytestmark = pytest.mark.usefixtures("kept")

Damage = Callable[[Path, Path], Path]


def missing(_tiny: Path, folder: Path) -> Path:
    return folder / "missing.gguf"


def a_folder(_tiny: Path, folder: Path) -> Path:
    return folder


def a_picture(_tiny: Path, folder: Path) -> Path:
    path = folder / "picture.gguf"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(4000))
    return path


def cut_in_the_header(tiny: Path, folder: Path) -> Path:
    path = folder / "header.gguf"
    path.write_bytes(tiny.read_bytes()[:700])
    return path


def cut_in_the_weights(tiny: Path, folder: Path) -> Path:
    path = folder / "weights.gguf"
    path.write_bytes(tiny.read_bytes()[:-9000])
    return path


def of_another_architecture(tiny: Path, folder: Path) -> Path:
    path = folder / "other.gguf"
    path.write_bytes(tiny.read_bytes().replace(b"qwen3", b"mamba"))
    return path


@pytest.mark.parametrize("verb", ["ask", "train"])
@pytest.mark.parametrize(
    "damage",
    [
        missing,
        a_folder,
        a_picture,
        cut_in_the_header,
        cut_in_the_weights,
        of_another_architecture,
    ],
)
def test_an_unusable_model_is_named_and_nothing_is_lost(
    kept: Home,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Damage,
    verb: str,
) -> None:
    path = damage(tiny, tmp_path)
    code = run([verb, *(["hi"] if verb == "ask" else []), "--model", str(path)])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    said = [line for line in err.splitlines() if line.startswith("discern: ")]
    assert len(said) == 1
    assert str(path) in said[0]
    assert "Traceback" not in err
    with Journal(kept.journal) as journal:
        assert len(journal.turns.all()) == len(journal.differences.all()) == 1


def test_a_home_that_cannot_be_written_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not Path("/proc/self").exists():
        pytest.skip("needs a file system that refuses new folders, such as /proc")
    monkeypatch.setenv("DISCERN_HOME", "/proc/discern")
    assert run(["memory", "list"]) == 2
    err = capsys.readouterr().err
    assert "cannot create the folder /proc/discern" in err
    assert "DISCERN_HOME" in err


def test_a_full_disk_refuses_a_mark_and_keeps_the_earlier_ones(
    kept: Home,
) -> None:
    """The kernel's limit on file sizes simulates a full disk.

    It leaves room to open the journal; the log of this mark grows past it.
    """
    import resource
    import signal
    import subprocess
    import sys

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    with Journal(kept.journal) as journal:
        turn = journal.turns.all()[0].id
    done = subprocess.run(
        [sys.executable, "-m", "tui", "mark", "--moment", "error", "--turn", turn, "--expected",
         "x" * 19_000],
        preexec_fn=limit, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "no space left to write the journal" in done.stderr
    assert "Traceback" not in done.stderr
    with Journal(kept.journal) as journal:
        assert journal.check() is None
        assert len(journal.differences.all()) == 1


def test_hostile_text_is_printed_harmlessly(kept: Home, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal(kept.journal) as journal:
        turn = journal.turns.all()[0].id
    evil = "\x1b]0;owned\x07\x1b[2J\u202e[bold]x[/bold]\u200b<|im_end|>"
    assert run(["mark", "--moment", "error", "--turn", turn, "--expected", evil, "--json"]) == 0
    identity = json.loads(capsys.readouterr().out)["id"]
    for words in (["memory", "show", identity], ["memory", "list"]):
        assert run(words) == 0
        assert not {"\x1b", "\x07", "\u202e", "\u200b"} & set(capsys.readouterr().out)
