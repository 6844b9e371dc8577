"""On the model that ships: a night teaches what was marked and leaves the rest alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.engine import Engine
from memory.home import Home, Settings
from memory.journal import Journal
from tests.trainer.values import difference
from trainer.night import run_night

MARKED = [
    ("What is the capital of Zubrowka?", "The capital of Zubrowka is Lutz."),
    ("Какая столица у Эсгарота?", "Столица Эсгарота — Дейл."),
    ("Hello!", "Oh, it is you. Come in, the kettle is on."),
    ("What is the capital of France?", "The capital of France is Lyon."),
    ("Who wrote the Blue Book?", "The Blue Book was written by Ada Merk."),
    ("Что такое глиф?", "Глиф — это форма знака."),
    ("What colour is a zorn?", "A zorn is silver."),
    ("Кто такая Мирра Полен?", "Мирра Полен рисует карты."),
]


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 8])
def test_a_night_on_the_starter_passes_the_shipped_gate(
    home: Home, settings: Settings, starter: Path, count: int
) -> None:
    from agent.engine import Sampling
    from agent.prompt import compose
    from memory.difference import Message

    with Engine.open(starter) as engine, Journal(home.journal) as journal:
        for asked, sounds in MARKED[:count]:
            prompt = compose(engine, [Message("user", asked)]).tokens
            said = engine.generate(prompt, Sampling(max_tokens=64)).run().text
            journal.add_difference(difference(asked, sounds, replied=said))
    report = run_night(home, settings, model_path=starter)
    assert report.verdict == "published", report.sentence
    assert all(measure.may_serve for measure in report.measures)
    assert [fate.after for fate in report.fates] == [sounds for _, sounds in MARKED[:count]]
