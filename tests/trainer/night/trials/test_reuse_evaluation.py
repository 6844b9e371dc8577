"""A kept verdict is used again only if nothing that it depends on has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.adapters import BaseEntry
from agent.llama.engine import Engine
from memory.difference import Difference, MarkScope
from memory.settings.paths import Home
from tests.support.values import difference, quick_settings
from trainer.lessons.anchors.base_answers import BaseAnswers
from trainer.lessons.journal_snapshot import JournalSnapshot
from trainer.lessons.lessons import make_curriculum
from trainer.night.trials.reuse_evaluation import verdict_key
from trainer.pipeline import Candidate, Lessons

LESSON = difference("Who?", "Lutz.")
OTHER = difference("When?", None, missed="the year", note="Be exact.")
CHANGES: dict[str, Callable[[Difference], Difference]] = {
    "note": lambda item: replace(item, note="Be brief."),
    "scope": lambda item: replace(item, scope=MarkScope.EVERYWHERE),
    "condition": lambda item: replace(item, scope=MarkScope.WHEN, condition="I ask"),
    "rules": lambda item: replace(item, rules=("no lists",)),
    "pin": lambda item: replace(item, pinned=True),
    "replaced": lambda item: replace(item, superseded_by=LESSON.id),
}


@pytest.mark.usefixtures("shared_base_answers")
def test_a_change_to_what_is_recalled_needs_another_evaluation(
    engine: Engine, home: Home, tmp_path: Path
) -> None:
    settings = quick_settings(home)
    answers = BaseAnswers(engine, "0" * 64, home.cache)
    made = make_curriculum(engine, [LESSON], answers, settings)
    (tmp_path / "adapter.gguf").write_bytes(b"GGUF")
    base = BaseEntry(sha256="0" * 64, name="tiny")

    def key(other: Difference, dense: bool = True) -> str:
        items = (LESSON, other)
        lessons = Lessons(
            made, items, engine.info.path, base, JournalSnapshot(items, items, ()), home
        )
        chosen = quick_settings(home, memory={"dense": dense})
        return verdict_key(Candidate(tmp_path, lessons, {}), chosen, [False])

    assert key(OTHER) == key(replace(OTHER))
    keys = {
        key(OTHER),
        key(OTHER, dense=False),
        *(key(change(OTHER)) for change in CHANGES.values()),
    }
    assert len(keys) == 2 + len(CHANGES)
