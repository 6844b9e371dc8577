"""The chat's model is unloaded during training, and messages sent meanwhile are answered after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.llama.model_leases import GpuLease, leased_sizes
from memory.errors import ModelError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.support.values import difference, quick_settings
from tests.tui.seat import Seat, sitting
from tui.chat.training import idle_unload

pytestmark = pytest.mark.usefixtures("shared_base_answers")


@pytest.fixture
def small(home: Home, tiny: Path) -> Settings:
    return quick_settings(
        home,
        model={"path": str(tiny), "threads": 1},
        sampling={"temperature": 0.0, "max_tokens": 20},
        memory={"dense": False},
        night={"enabled": False},
        trainer={"card": "instead"},
    )


@pytest.fixture
def marked(home: Home) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(difference("Who?", "Lutz."))


async def aside(seat: Seat) -> None:
    await seat.until(lambda: seat.screen.chat.engine.unloaded)
    await seat.until(lambda: idle_unload.UNLOADED in seat.status)


@pytest.mark.slow
@pytest.mark.usefixtures("marked")
async def test_a_message_sent_while_the_model_is_unloaded_is_answered_with_the_new_adapter(
    home: Home, small: Settings
) -> None:
    async with sitting(home, small, size=(100, 24)) as seat:
        await seat.asks("Hello")
        before = seat.screen.chat.thread.turns()[0]
        assert len(leased_sizes(home)) == 1
        await seat.types("/train")
        await aside(seat)
        assert not leased_sizes(home)
        seat.screen.composer.write("Hello again")
        await seat.hits("enter")
        await seat.until(lambda: seat.screen.conversation.streaming)
        await seat.sees("Hello again")
        assert len(seat.screen.chat.thread.turns()) == 1
        await seat.until(lambda: len(seat.screen.chat.thread.turns()) == 2, patience=90)
        turn = seat.screen.chat.thread.turns()[-1]
        assert before.adapter is None
        assert turn.asked == "Hello again"
        assert seat.screen.chat.adapter is not None
        assert turn.adapter == seat.screen.chat.adapter.id
        await seat.until(lambda: not seat.screen.conversation.streaming)
        await seat.sees("See /report for details")
        await seat.until(lambda: idle_unload.UNLOADED not in seat.status)
        assert len(leased_sizes(home)) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("marked")
async def test_stopping_returns_a_waiting_message_and_the_end_of_training_reloads_the_model(
    home: Home, small: Settings
) -> None:
    long = small.model_copy(
        update={"training": small.training.model_copy(update={"max_steps": 100_000})}
    )
    async with sitting(home, long) as seat:
        await seat.types("/train")
        await aside(seat)
        seat.screen.composer.write("Are you there?")
        await seat.hits("enter")
        await seat.until(lambda: seat.screen.conversation.streaming)
        await seat.hits("escape")
        await seat.until(lambda: seat.draft == "Are you there?")
        await seat.sees("training is using the model's memory")
        assert seat.screen.chat.engine.unloaded
        seat.screen.composer.take()
        await seat.types("/train stop")
        await seat.until(lambda: not seat.screen.chat.engine.unloaded)
        await seat.asks("Are you there?")
        assert len(seat.screen.chat.thread.turns()) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("marked")
async def test_the_model_stays_loaded_while_the_user_types(
    home: Home, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle_unload, "STILL_SECONDS", 1e9)
    async with sitting(home, small) as seat:
        await seat.types("/train")
        seat.screen.composer.write("I am still wri")
        unloading = seat.screen.training.unloading
        assert unloading is not None
        await seat.until(lambda: unloading._wanted)
        await unloading.poll()
        assert not seat.screen.chat.engine.unloaded
        assert len(leased_sizes(home)) == 1
        seat.screen.composer.take()
        await aside(seat)
        seat.screen.training.trainings.stop()
        await seat.until(lambda: not seat.screen.chat.engine.unloaded)


async def test_a_model_that_cannot_be_reloaded_is_retried_with_the_next_message(
    home: Home, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sitting(home, small) as seat:
        engine = seat.screen.chat.engine
        engine.unload()
        real = engine._model._reload

        def refuse() -> None:
            raise ModelError("no room on the card; close something")

        monkeypatch.setattr(engine._model, "_reload", refuse)
        await seat.sees("No room on the card")  # no training runs, so it should be reloaded
        monkeypatch.setattr(engine._model, "_reload", real)
        await seat.asks("Hello")
        assert len(seat.screen.chat.thread.turns()) == 1


def test_a_closed_chat_holds_no_gpu_lease(home: Home) -> None:
    one, two = GpuLease(home, 5), GpuLease(home, 7)
    assert sorted(leased_sizes(home)) == [5, 7]
    one.release()
    assert two._file is not None
    two._file.close()  # as the kernel does when the holder dies
    assert leased_sizes(home) == []
    assert not list((home.state / "serving").iterdir())
