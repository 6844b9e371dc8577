"""Shell completion of threads, marks, kinds and models."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memory.difference import Turn, new_id, now
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.support.processes import ROOT
from tui.cli import completion_queries

DISCERN = "import sys; sys.argv[0] = 'discern'; from tui.cli.main import main; main()"
HARMFUL = 'it\'s "$HOME"; touch harm $(touch harm) `touch harm`'
ENVIRONMENT = {"PYTHONPATH": str(ROOT)}


@pytest.fixture
def told(home: Home) -> Home:
    with Journal(home.journal) as journal:
        for thread in ("work", "2026-11-26 1", "red\x1b[31m\u202e"):
            journal.turns.add(Turn(new_id(), thread, now(), "Who?", "Me.", "m", None))
    return home


def offered(line: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", DISCERN],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **ENVIRONMENT, "_DISCERN_COMPLETE": "bash_complete", "COMP_LINE": line},
    )
    assert done.stderr == ""
    return [part.partition(",")[2] for part in done.stdout.splitlines()]


def test_existing_names_are_offered(told: Home) -> None:
    assert offered("discern we") == ["web"]
    assert offered("discern memory im") == ["import"]
    assert offered("discern --thread w") == ["work"]
    assert offered("discern ask --thread 2026-11-26\\ ") == ["2026-11-26 1"]
    assert "tactical/length" in offered("discern mark --kind tactical/")
    assert offered("discern model pull qwen3-4") == ["qwen3-4b"]
    assert offered("discern model use st") == ["starter"]
    assert offered("discern compare base cu") == ["current"]
    assert len(offered("discern mark --turn ")) == 3
    everything = "".join(offered("discern --thread "))
    assert "work" in everything
    assert not {"\x1b", "\u202e"} & set(everything)


def test_completion_changes_nothing_and_tolerates_errors(home: Home) -> None:
    asked = (
        completion_queries.threads,
        completion_queries.differences,
        completion_queries.turns,
        completion_queries.adapters,
        completion_queries.runs,
    )
    assert [ask(home) for ask in asked] == [[]] * 5
    assert not home.journal.exists()
    home.journal.write_bytes(b"no database at all" * 100)
    (home.adapters / "0123456789ab").mkdir(parents=True)
    (home.adapters / "0123456789ab" / "manifest.json").write_text("{")
    (home.config / "kinds.toml").write_text("[[")
    assert [ask(home) for ask in asked] == [[]] * 5
    assert len(completion_queries.kinds(home)) == 35


def test_completing_imports_nothing_heavy(told: Home) -> None:
    heavy = ("torch", "chromadb", "llama_cpp", "langgraph", "textual", "numpy", "pydantic", "rich")
    probe = (
        "import sys, atexit\n"
        f"atexit.register(lambda: sys.stderr.write(repr([n for n in {heavy!r} if n in sys.modules])))\n"
        + DISCERN
    )
    for line in ("discern --thread w", "discern memory show ", "discern model use "):
        done = subprocess.run(
            [sys.executable, "-c", probe],
            capture_output=True,
            text=True,
            check=True,
            env={
                **os.environ,
                **ENVIRONMENT,
                "_DISCERN_COMPLETE": "bash_complete",
                "COMP_LINE": line,
            },
        )
        assert done.stderr == "[]", line


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself_completes_spaces_and_colons(told: Home, tiny: Path, tmp_path: Path) -> None:
    with Journal(told.journal) as journal:
        for thread in (HARMFUL, "a b:c d"):
            journal.turns.add(Turn(new_id(), thread, now(), "Who?", "Me.", "m", None))
    folder = tmp_path / "hub/models--Some--Here/snapshots/abc"
    folder.mkdir(parents=True)
    (folder / "here.gguf").write_bytes(tiny.read_bytes())
    command = tmp_path / "bin" / "discern"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{DISCERN}" "$@"\n')
    command.chmod(0o755)
    environment = {
        **os.environ,
        **ENVIRONMENT,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "PS1": "$ ",
        "TERM": "dumb",
    }
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
        cwd=tmp_path,
    )
    os.close(theirs)

    def until_it_says(wanted: str) -> None:
        heard = ""
        while wanted not in heard:
            assert select.select([ours], [], [], 60)[0], heard
            heard += os.read(ours, 4096).decode(errors="replace")

    try:
        os.write(ours, b"source <(discern completion bash); echo rea''dy\n")
        until_it_says("ready")
        os.write(ours, b"echo discern >/dev/null; discern --thread 20\t")
        until_it_says("2026-11-26\\ 1")
        os.write(ours, b"\x15discern model use Some/Here:h\t")
        until_it_says("Some/Here:here.gguf")
        for typed, begun in (
            ('"2026-11-26 ', "2026-11-26 1"),
            ("'it", HARMFUL),
            ('"it', HARMFUL),
            ("it", HARMFUL),
            ("a\\ b:c", "a b:c d"),
        ):
            os.write(ours, f"\x15discern sessions show {typed}\t\r".encode())
            until_it_says(f"# {begun}\r\n".replace("`", "\\`"))  # as Markdown has it
        assert not (tmp_path / "harm").exists()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
