"""An idle chat computes base answers for the next night."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.llama.engine import Engine
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.support.values import difference, quick_settings
from tests.tui.seat import Seat, sitting
from trainer import pipeline
from trainer.adapters.adapter_staleness import entry_of
from trainer.lessons.journal_snapshot import take_snapshot
from tui.chat.training import idle_preparation
from tui.chat.training.idle_preparation import IdlePreparation


@pytest.fixture
def small(home: Home, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(idle_preparation, "IDLE_SECONDS", 0.0)
    return quick_settings(
        home,
        model={"path": str(tiny), "threads": 1},
        sampling={"temperature": 0.0, "max_tokens": 20},
        memory={"dense": False},
        night={"enabled": True, "on_battery": True},
    )


def of(seat: Seat) -> IdlePreparation:
    found = seat.screen.training.preparation
    assert found is not None
    return found


def missing(home: Home, settings: Settings, model: Path) -> int:
    """Return how many answers a night would still compute; they are cached afterwards."""
    with Journal(home.journal) as journal, Engine.open(model, settings.model) as engine:
        source = pipeline.Source(home, model, entry_of(model, home), take_snapshot(journal))
        return pipeline.ask_ahead(engine, journal, source, settings)


@pytest.mark.slow
async def test_an_idle_chat_prepares_base_answers_that_the_night_uses(
    home: Home, small: Settings, tiny: Path
) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(difference("Who?", "Lutz."))
    async with sitting(home, small) as seat:
        await seat.until(lambda: of(seat).running)
        await seat.until(lambda: of(seat)._done is not None, patience=120)
        assert not of(seat).running
    assert missing(home, small, tiny) == 0


async def test_a_message_interrupts_the_preparation_which_continues_later(
    home: Home, small: Settings, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sitting(home, small) as seat:
        await seat.until(lambda: of(seat).running)
        child = of(seat)._child
        assert child is not None
        monkeypatch.setattr(idle_preparation, "IDLE_SECONDS", 1e9)
        seat.screen.composer.write("Hello")
        await seat.hits("enter")
        await seat.until(lambda: of(seat)._child is None)
        await seat.until(lambda: len(seat.screen.chat.thread.turns()) == 1)
        assert child._child.wait(5) == -9
        monkeypatch.setattr(idle_preparation, "IDLE_SECONDS", 0.0)
        await seat.until(lambda: of(seat).running)
        last = of(seat)._child
    assert last is not None
    assert last._child.wait(5) is not None  # closed with the chat


@pytest.mark.parametrize(
    "section", [{"enabled": False}, {"prepare": False}, {"quiet": "00:00-23:59"}]
)
async def test_nothing_is_prepared_if_the_night_settings_forbid_it(
    home: Home, small: Settings, section: dict[str, object]
) -> None:
    night = small.night.model_copy(update=section)
    async with sitting(home, small.model_copy(update={"night": night})) as seat:
        assert of(seat)._wanted() is None
        assert not of(seat).running


async def test_without_free_memory_no_second_engine_is_opened(
    home: Home, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.models.models.free_memory", lambda: 64 << 20)
    async with sitting(home, small) as seat:
        assert of(seat)._wanted() is None
