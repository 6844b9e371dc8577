"""Compare two ways of answering on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.llama.engine import Engine
from memory.errors import AdapterError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.support.values import difference, quick_settings
from tests.trainer.gate.test_publication_gate import lora
from trainer.adapters import publish
from trainer.adapters.adapter_staleness import entry_of
from trainer.evaluate.compare import Asked, Side, compare, questions, side
from tui.cli.main import run


def published(home: Home, tiny: Path, tmp_path: Path) -> str:
    """Publish an adapter that changes much; returns its id."""
    folder = tmp_path / "candidate"
    folder.mkdir()
    lora(folder / "adapter.gguf", 0.5)
    (folder / "adapter_model.safetensors").write_bytes(b"x")
    (folder / "adapter_config.json").write_text("{}")
    return publish.publish(home, publish.PublishRequest(folder, entry_of(tiny, home), scale=0.5)).id


def test_sides_are_parsed_from_their_names(home: Home, tiny: Path, tmp_path: Path) -> None:
    base = entry_of(tiny, home)
    assert side(home, "base", base) == Side("base")
    assert side(home, "base+recall", base).recall
    with pytest.raises(AdapterError, match="there is no current adapter"):
        side(home, "current", base)
    identity = published(home, tiny, tmp_path)
    found = side(home, identity[:5], base, recall=True)
    assert found == side(home, "current+recall", base)
    assert found.recall
    assert found.scale == 0.5
    assert found.name == f"{identity[:8]}+recall"
    with pytest.raises(AdapterError, match="no adapter id starts"):
        side(home, "zzz", base)


def test_questions_are_the_lessons_and_their_held_out_wordings(home: Home, engine: Engine) -> None:
    marked = [difference("What is a zorn?", "A bird."), difference("Bare", None)]
    asked = questions(engine, marked, quick_settings(home))
    assert asked[0] == Asked("What is a zorn?", "A bird.")
    assert len(asked) == 2
    assert asked[1].expected == "A bird."
    assert asked[1].text != asked[0].text


def test_an_adapter_changes_answers_and_two_runs_of_the_base_agree(
    home: Home, tiny: Path, engine: Engine, tmp_path: Path
) -> None:
    published(home, tiny, tmp_path)
    settings = quick_settings(home)
    asked = [Asked("Who?"), Asked("Where?"), Asked("Why?")]
    with Journal(home.journal) as journal:
        base, worn = Side("base"), side(home, "current", entry_of(tiny, home))
        twice = list(compare(engine, journal, settings, (base, base), asked))
        assert all(pair.first == pair.second for pair in twice)
        apart = list(compare(engine, journal, settings, (base, worn), asked))
    assert [pair.first for pair in apart] == [pair.first for pair in twice]
    assert any(pair.first != pair.second for pair in apart)
    assert engine.adapter is None


def test_columns_fit_in_80_characters_and_json_has_everything(
    home: Home,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    published(home, tiny, tmp_path)
    words = ["compare", "base", "current", "--prompt", "Who?", "--model", str(tiny)]
    assert run(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("base")
    assert " │ " in lines[0]
    assert max(map(len, lines)) <= 80
    assert run([*words, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["sides"][0] == "base"
    assert len(data["pairs"][0]["replies"]) == 2


def test_a_blind_comparison_reveals_the_sides_at_the_end(
    home: Home,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published(home, tiny, tmp_path)
    answers = iter(["1", "t"])
    monkeypatch.setattr("click.prompt", lambda *args, **kwargs: next(answers))
    words = ["compare", "base", "current", "--blind", "--model", str(tiny)]
    assert run([*words, "--prompt", "Who?", "--prompt", "Where?"]) == 0
    *before, last = capsys.readouterr().out.strip().splitlines()
    assert "base" not in "\n".join(before)
    assert "base was better" in last


def test_compare_without_questions_names_the_prompt_option(
    home: Home, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", "base", "base+recall", "--model", str(tiny)]) == 0
    assert "--prompt" in capsys.readouterr().err
