"""Files exported out of the home are private, and named when text in them is forgotten."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memory.settings.paths import Home
from tests.support.command_line import call, said
from tests.trainer.report.test_report import full

QUESTION = "What is the capital of Zubrowka?"


@pytest.fixture(autouse=True)
def quiet_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def kept(home: Home, tiny: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """A home with one turn, one mark of it, and the report of a run."""
    home.settings_file.write_text(
        f'[model]\npath = "{tiny}"\n[sampling]\nmax_tokens = 8\ntemperature = 0.0\n'
        "[memory]\ndense = false\n"
    )
    said(capsys, "ask", "--thread", "trip", QUESTION)
    run = home.runs / "20261123T031500"
    run.mkdir(parents=True)
    (run / "report.json").write_text(json.dumps(full().to_json()))
    mark: dict[str, Any] = said(
        capsys, "mark", "--moment", "error", "--kind", "fact", "--expected", "Lutz."
    )
    return mark


EXPORTS = {
    "marks.jsonl": ("memory", "export"),
    "copy.sqlite": ("memory", "backup"),
    "trip.md": ("sessions", "export", "trip"),
    "trip.json": ("sessions", "export", "trip"),
    "set.jsonl": ("lessons", "--export", "jsonl"),
    "trl.jsonl": ("lessons", "--export", "trl"),
    "night.html": ("report", "--html"),
}


def test_every_export_is_private_and_named_when_its_text_is_forgotten(
    kept: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, words in EXPORTS.items():
        assert call(capsys, *words, str(tmp_path / name))[0] == 0
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    (tmp_path / "trip.json").unlink()  # deleted exports are not named
    forgotten = said(capsys, "memory", "forget", kept["id"])
    expected = {str(tmp_path / name) for name in EXPORTS if name != "trip.json"}
    assert set(forgotten["files"]) == expected


def test_deleting_a_session_names_its_exports(
    kept: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "sessions", "export", "trip", str(tmp_path / "trip.md"))[0] == 0
    gone = said(capsys, "sessions", "delete", "trip", "--yes")
    assert gone["files"] == [str(tmp_path / "trip.md")]


def test_forgetting_removes_leftovers_of_killed_exports_and_names_running_ones(
    kept: dict[str, Any], home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from memory.files.atomic_write import scratch

    assert call(capsys, "memory", "export", str(tmp_path / "marks.jsonl"))[0] == 0
    (tmp_path / "marks.jsonl").unlink()
    left = tmp_path / ".discern-0123456789abcdef"
    left.mkdir()
    (left / "marks.jsonl").write_text(QUESTION)
    assert str(left) in call(capsys, "doctor")[1]
    assert str(left) in call(capsys, "memory", "check")[1]
    with scratch(tmp_path) as held:  # removes leftovers, as every writer does
        assert not left.exists()
        left.mkdir()
        (left / "marks.jsonl").write_text(QUESTION)
        (held / "marks.jsonl").write_text(QUESTION)
        forgotten = said(capsys, "memory", "forget", kept["id"])
        assert forgotten["files"] == [str(held)]
    assert not left.exists()


def test_an_unreadable_form_is_private_and_deleted_with_its_difference(
    kept: dict[str, Any],
    home: Home,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from memory.errors import MarkError
    from memory.journal.journal import Journal
    from tui.cli.memory import edit_form

    seen = home.data / "seen"
    editor = home.data / "editor.sh"
    editor.write_text(
        f'#!/bin/sh\ncp "$1" {seen}; echo "$1" >> {seen}\necho "sounds = Lutz" > "$1"\n'
    )
    editor.chmod(0o700)
    monkeypatch.setenv("VISUAL", str(editor))
    monkeypatch.setenv("EDITOR", str(editor))
    with (
        Journal(home.journal) as journal,
        pytest.raises(MarkError, match="your edits are saved in"),
    ):
        edit_form.edited(journal.differences.get(kept["id"]), home)
    *words, path = seen.read_text().splitlines()
    assert QUESTION in "".join(words)
    assert ".discern-" in path
    assert Path(path).parent.parent == home.state
    assert not Path(path).exists()
    form = home.state / f"edit-{kept['id'][:8]}.toml"
    assert stat.S_IMODE(form.stat().st_mode) == 0o600
    said(capsys, "memory", "forget", kept["id"])
    assert not form.exists()
