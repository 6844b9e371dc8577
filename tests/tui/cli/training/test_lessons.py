"""`discern lessons` shows what would be trained, what would not and why, and exports it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from memory.difference import Difference
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.support.values import difference
from tui.cli.main import run
from tui.cli.training.lessons import lessons


@pytest.fixture
def marked(home: Home, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> list[Difference]:
    home.settings_file.write_text(f'[model]\npath = "{tiny}"\n', encoding="utf-8")
    marks = [
        difference("What is a glyph?", "One."),
        difference("What is a glyph?", "Two.\x1b[31m"),
        difference("Hello!", None),
        difference("Who is Mirra?", "x" * 600),
    ]
    with Journal(home.journal) as journal:
        for mark in marks:
            journal.differences.add(replace(mark))
    return marks


def test_lessons_conflicts_and_left_out_differences_are_shown(marked: list[Difference]) -> None:
    shown = CliRunner().invoke(lessons, []).output
    assert f"{marked[1].id[:8]}  contrast" in shown
    assert "prompt tokens" in shown
    assert "1 lesson in " in shown
    assert "Conflicts:" in shown
    assert "the newer one is used" in shown
    assert f"{marked[2].id[:8]}  it has no better answer" in shown
    assert f"{marked[3].id[:8]}  the better answer of the difference" in shown
    assert "\x1b" not in shown


def test_one_difference_is_shown_in_full(marked: list[Difference]) -> None:
    shown = CliRunner().invoke(lessons, [marked[1].id[:6]]).output
    assert "held out  Can you tell me what a glyph is?" in shown
    assert marked[2].id[:8] not in shown


def test_json_has_the_same_content(marked: list[Difference]) -> None:
    found = json.loads(CliRunner().invoke(lessons, ["--json"]).output)
    (lesson,) = found["lessons"]
    assert lesson["difference"] == marked[1].id
    assert lesson["chosen_tokens"] > 4
    assert set(found["left_out"]) == {marked[0].id, marked[2].id, marked[3].id}
    assert found["conflicts"][0]["newer"] == marked[1].id


def test_the_lessons_are_exported_and_no_file_is_overwritten(
    marked: list[Difference], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "set.jsonl"
    assert run(["lessons", "--export", "trl", str(path)]) == 0
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert set(lines[0]) == {"prompt", "chosen", "rejected"}
    assert run(["lessons", "--export", "trl", str(path)]) == 2
    assert "already exists" in capsys.readouterr().err


def test_nothing_to_train_is_reported(home: Home, tiny: Path) -> None:
    shown = CliRunner().invoke(lessons, ["--model", str(tiny)]).output
    assert shown.startswith("Nothing to train")
