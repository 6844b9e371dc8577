"""`discern compare`: two ways of answering side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memory.settings.paths import Home
from tests.support.adapters import published
from tests.support.command_line import call
from tui.cli.main import run


@pytest.fixture
def sides(home: Home, tiny: Path, tmp_path: Path) -> tuple[str, ...]:
    """A command line that compares the base with a published adapter."""
    published(home, tiny, tmp_path)
    return ("compare", "base", "current", "--model", str(tiny))


def test_columns_fit_in_80_characters_and_json_has_everything(
    sides: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words = (*sides, "--prompt", "Who?")
    code, out, _err = call(capsys, *words)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("base")
    assert " │ " in lines[0]
    assert max(map(len, lines)) <= 80
    code, out, _err = call(capsys, *words, "--json")
    assert code == 0
    data = json.loads(out)
    assert data["sides"][0] == "base"
    assert len(data["pairs"][0]["replies"]) == 2


def test_a_blind_comparison_reveals_the_sides_at_the_end(
    sides: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["1", "t"])
    monkeypatch.setattr("click.prompt", lambda *args, **kwargs: next(answers))
    code, out, _err = call(capsys, *sides, "--blind", "--prompt", "Who?", "--prompt", "Where?")
    assert code == 0
    *before, last = out.strip().splitlines()
    assert "base" not in "\n".join(before)
    assert "Better replies: base" in last


def test_compare_without_questions_names_the_prompt_option(
    home: Home, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", "base", "base+recall", "--model", str(tiny)]) == 0
    assert "--prompt" in capsys.readouterr().err
