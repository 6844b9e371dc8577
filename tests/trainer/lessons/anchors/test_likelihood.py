"""The base's likelihoods show which questions are natural and which languages it knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.llama.engine import Engine
from agent.models.served_model import STARTER
from memory.settings.paths import Home
from tests.support.values import quick_settings
from trainer.lessons.anchors.base_answers import prompts
from trainer.lessons.anchors.likelihood import Likelihood, of_languages
from trainer.lessons.anchors.near_misses import NearMiss
from trainer.lessons.lesson import Asker

SHIPPED = [text for half in prompts() for text in half]


@pytest.fixture
def likelihood(home: Home) -> Iterator[Likelihood]:
    with Engine.open(STARTER) as engine:
        yield Likelihood(Asker(engine, quick_settings(home)), home.cache / "likely.json")


def test_ungrammatical_text_is_less_likely(likelihood: Likelihood) -> None:
    for good, bad in (
        ("What is the capital of Japan?", "What the of is Japan capital?"),
        ("Какая столица у Италии?", "Столица какая Италии у?"),
    ):
        assert likelihood.per_token(good) < likelihood.per_token(bad)


def test_each_group_loses_its_least_natural_prompts_and_keeps_its_order(
    likelihood: Likelihood,
) -> None:
    near = [
        NearMiss("What is the capital of Japan?", "entity"),
        NearMiss("What capital the Japan is?", "entity"),
        NearMiss("Japan the is of what?", "relation"),
        NearMiss("What colour is grass?", "relation"),
    ]
    assert likelihood.most_natural(near, 2) == [near[0], near[3]]
    assert likelihood.most_natural(near, 4) == near


def test_the_starter_speaks_both_languages(likelihood: Likelihood) -> None:
    assert likelihood.spoken(SHIPPED) == {"english", "russian"}
    assert likelihood.spoken([]) == frozenset()


def test_a_language_with_a_much_higher_cost_per_letter_counts_as_unknown(
    likelihood: Likelihood, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(text: str) -> tuple[float, int]:
        return (3.0 if text.isascii() else 9.0) * len(text), len(text)

    monkeypatch.setattr(likelihood, "surprisal", measured)
    assert likelihood.spoken(SHIPPED) == {"english"}
    assert of_languages(["Hello!", "Привет!"], frozenset({"english"})) == ["Hello!"]


def test_likelihoods_are_read_from_the_cache(home: Home, tiny: Path) -> None:
    path = home.cache / "likely.json"
    with Engine.open(tiny) as engine:
        ask = Asker(engine, quick_settings(home))
        first = Likelihood(ask, path)
        found = first.surprisal("Who wrote Faust?")
        first.save()
        engine.surprisal = None  # type: ignore[method-assign, assignment]  # asking would fail
        assert Likelihood(ask, path).surprisal("Who wrote Faust?") == found
        path.write_text("damaged")
        assert Likelihood(ask, path)._known == {}
