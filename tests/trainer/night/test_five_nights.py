"""Five nights with growing marks: everything learned once is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.adapters import read_adapter, read_pointer
from agent.llama.engine import Engine
from agent.llama.sampling_parameters import Sampling
from agent.prompt.prompt import compose
from memory.difference import Message
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.support.values import difference
from tests.trainer.test_acceptance import MARKED
from trainer.night.night import run_night
from trainer.night.request import RunRequest

NIGHTS = (1, 2, 4, 6, 8)
"""How many marks there are on each night."""


def say(engine: Engine, asked: str) -> str:
    prompt = compose(engine, [Message("user", asked)]).tokens
    return engine.generate(prompt, Sampling(max_tokens=64)).run().text.strip()


@pytest.mark.slow
def test_five_nights_lose_no_learned_lesson(home: Home, settings: Settings, starter: Path) -> None:
    held: set[str] = set()
    told = 0
    with Engine.open(starter) as engine:
        for count in NIGHTS:
            with Journal(home.journal) as journal:
                for asked, sounds in MARKED[told:count]:
                    journal.differences.add(difference(asked, sounds, replied=say(engine, asked)))
            told = count
            report = run_night(RunRequest(home, settings, starter))
            identity = read_pointer(home.adapters).current
            assert identity is not None, report.sentence
            adapter = read_adapter(home.adapters, identity)
            engine.set_adapter(adapter.gguf, adapter.manifest.scale)
            now = {asked for asked, sounds in MARKED[:count] if say(engine, asked) == sounds}
            engine.set_adapter(None)
            assert held <= now, f"lost {held - now} on the night of {count} marks"
            held = now
            if report.verdict == "published":
                assert not [fate for fate in report.fates if fate.fate == "lost again"]
    assert len(held) >= len(MARKED) - 1
