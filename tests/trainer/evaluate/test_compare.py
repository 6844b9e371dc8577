"""Comparing two ways of answering: sides, questions and answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.llama.engine import Engine
from memory.errors import AdapterError
from memory.journal.journal import Journal
from memory.recall.adapter_scope import FLOOR
from memory.recall.learned_differences import Learned
from memory.settings.paths import Home
from tests.support.adapters import published
from tests.support.values import difference, quick_settings
from trainer.adapters.adapter_staleness import entry_of
from trainer.evaluate.compare import ComparedPrompt, Side, compare, questions, side


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
    assert asked[0] == ComparedPrompt("What is a zorn?", "A bird.")
    assert len(asked) == 2
    assert asked[1].expected == "A bird."
    assert asked[1].text != asked[0].text


def test_an_adapter_changes_answers_and_two_runs_of_the_base_agree(
    home: Home, tiny: Path, engine: Engine, tmp_path: Path
) -> None:
    published(home, tiny, tmp_path)
    settings = quick_settings(home)
    asked = [ComparedPrompt("Who?"), ComparedPrompt("Where?"), ComparedPrompt("Why?")]
    with Journal(home.journal) as journal:
        base, adapted = Side("base"), side(home, "current", entry_of(tiny, home))
        twice = list(compare(engine, journal, settings, (base, base), asked))
        assert all(pair.first == pair.second for pair in twice)
        apart = list(compare(engine, journal, settings, (base, adapted), asked))
    assert [pair.first for pair in apart] == [pair.first for pair in twice]
    assert any(pair.first != pair.second for pair in apart)
    assert engine.adapter is None


def test_an_adapter_for_related_messages_leaves_the_others_to_the_base(
    home: Home, tiny: Path, engine: Engine, tmp_path: Path
) -> None:
    settings = quick_settings(home)
    asked = [
        ComparedPrompt("Who is the mayor of Port Ellery?"),
        ComparedPrompt("Hello!"),
        ComparedPrompt("Why?"),
    ]
    with Journal(home.journal) as journal:
        marked = difference(asked[0].text, "Ada Merk.")
        journal.differences.add(marked)
        published(home, tiny, tmp_path, marked.id, learned=Learned(floor=FLOOR))
        scoped = side(home, "current", entry_of(tiny, home))
        pairs = list(compare(engine, journal, settings, (Side("base"), scoped), asked))
    assert [pair.first != pair.second for pair in pairs] == [True, False, False]
