"""Discern's files are readable by their owner only, whatever the umask."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from memory.settings.paths import Home
from tests.faults.nights.test_evening import write_evening_settings
from tests.support.processes import ROOT

AT_ONCE = """
import json, sys
from memory.settings.paths import set_private_umask
from tui.cli.main import run
set_private_umask()
for words in json.loads(sys.argv[1]):
    assert run(words) in (0, 1), words
"""


def python(mask: int, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        umask=mask,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode in (0, 1), done.stderr


def discern(mask: int, *words: str) -> None:
    """Run a command as a shell does."""
    python(mask, "-m", "tui", *words)


def open_to_others(folder: Path) -> list[str]:
    """The files that are not 0600 and the folders that are not 0700."""
    paths = [folder, *folder.rglob("*")]
    assert len(paths) > 10
    return [
        f"{stat.S_IMODE(path.stat().st_mode):o} {path}"
        for path in paths
        if stat.S_IMODE(path.stat().st_mode) != (0o700 if path.is_dir() else 0o600)
    ]


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home that does not exist yet."""
    monkeypatch.setenv("DISCERN_HOME", str(tmp_path / "fresh"))
    return Home.locate()


def talk(home: Home, tiny: Path, mask: int) -> None:
    verbs = [
        ["ask", "What is two?", "--model", str(tiny), "--json"],
        ["mark", "--moment", "error", "--expected", "Two is two.", "--last"],
        ["memory", "rebuild"],
        ["memory", "backup"],
        ["memory", "export", str(home.data / "marks.jsonl")],
    ]
    python(mask, "-c", AT_ONCE, json.dumps(verbs))


def test_files_in_the_home_are_0600_and_folders_0700_whatever_the_umask(
    fresh: Home, tiny: Path
) -> None:
    talk(fresh, tiny, 0o000)
    assert fresh.index.is_dir()
    assert fresh.journal.exists()
    assert open_to_others(fresh.data) == []


@pytest.mark.slow
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777], ids=oct)
def test_every_command_writes_private_files_whatever_the_umask(
    fresh: Home, tiny: Path, mask: int
) -> None:
    discern(mask, "model", "use", str(tiny))
    talk(fresh, tiny, mask)
    assert open_to_others(fresh.data) == []
    write_evening_settings(fresh, tiny)
    fresh.settings_file.chmod(0o600)
    discern(mask, "doctor")
    discern(mask, "train")
    discern(mask, "report", "--html", str(fresh.data / "report.html"))
    assert list(fresh.runs.rglob("report.json"))
    assert open_to_others(fresh.data) == []
