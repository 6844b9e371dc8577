"""Nights as an open chat shows them: notices, adapters published elsewhere, rollbacks."""

from __future__ import annotations

import signal
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import GGUF, BaseEntry, base_sha256
from memory.difference import now
from memory.journal.journal import Journal
from memory.sentence import Sentence
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.support.gguf_files import write_lora
from tests.support.processes import Night
from tests.support.values import difference
from tests.tui.seat import Seat, sitting
from trainer.adapters import publish
from trainer.launch.check_trained_files import CONFIG, WEIGHTS
from trainer.night import night_scheduler
from trainer.night.once_per_date import run_if_due
from trainer.report.report import Report

pytestmark = pytest.mark.usefixtures("shared_base_answers")


@pytest.fixture
def small(home: Home, tiny: Path) -> Settings:
    return read_settings(
        home,
        {
            "model": {"path": str(tiny), "threads": 1},
            "sampling": {
                "temperature": 5.0,
                "top_p": 1.0,
                "top_k": 0,
                "seed": 3,
                "max_tokens": 450,
            },
            "memory": {"dense": False},
            "night": {"enabled": False},
        },
    )


def put(home: Home, tiny: Path, seed: int) -> str:
    folder = home.data / f"candidate-{seed}"
    folder.mkdir()
    write_lora(folder / GGUF, seed=seed)
    (folder / WEIGHTS).write_bytes(b"weights")
    (folder / CONFIG).write_text("{}")
    base = BaseEntry(sha256=base_sha256(tiny, home.cache), name=tiny.name)
    return publish.publish(home, publish.PublishRequest(folder, base)).id


async def test_the_first_chat_after_a_night_shows_its_outcome_once(
    home: Home, small: Settings
) -> None:
    with Journal(home.journal) as journal:
        journal.nights.claim("2026-03-10", "here:1:1", stale_after=180, attempts=3)
        journal.nights.end(
            "2026-03-10",
            "here:1:1",
            "rejected",
            Sentence("Adapter rejected: [b]drift[/b]."),
        )
    async with sitting(home, small) as seat:
        await seat.sees(
            "The training on the night of 2026-03-10 finished. Adapter rejected: [b]drift[/b]"
        )
        await seat.sees("See /report for details")
    async with sitting(home, small) as seat:
        await seat.pilot.pause()
        assert "2026-03-10" not in seat.shown


async def test_an_adapter_published_or_rolled_back_elsewhere_is_used_within_five_seconds(
    home: Home, small: Settings, tiny: Path
) -> None:
    async with sitting(home, small) as seat:
        chat = seat.screen.chat

        async def comes_in(wanted: str | None) -> None:
            began = time.monotonic()
            await seat.until(lambda: (chat.adapter and chat.adapter.id) == wanted)
            assert time.monotonic() - began < 5

        await comes_in(put(home, tiny, 1))
        await comes_in(publish.rollback(home))
        await seat.sees("replies come from the base model")


async def test_the_adapter_never_changes_during_a_reply(
    home: Home, small: Settings, tiny: Path
) -> None:
    old = put(home, tiny, 1)
    async with sitting(home, small) as seat:
        seat.screen.composer.write("Hello")
        await seat.hits("enter")
        # The adapter is chosen before the message is shown.
        await seat.until(
            lambda: seat.screen.conversation.streaming and seat.screen.transcript.turns
        )
        new = put(home, tiny, 2)
        while seat.screen.conversation.streaming:
            assert seat.screen.chat.adapter is not None
            assert seat.screen.chat.adapter.id == old
            await seat.pilot.pause(0.01)
        (turn,) = seat.screen.chat.thread.turns()
        assert turn.adapter == old
        await seat.asks("Again")
        assert seat.screen.chat.thread.turns()[-1].adapter == new


@pytest.mark.slow
async def test_a_chat_shows_all_progress_of_a_training_in_another_process(
    home: Home, small: Settings, tiny: Path
) -> None:
    with Journal(home.journal) as journal:
        journal.differences.add(difference("Who?", "Lutz.", at=now() - timedelta(days=5)))
    with Night(home.data, tiny) as process:
        process.ask(now=now().isoformat(), events=True, settings={"training": {"max_steps": 60}})
        assert next(line for line in process.lines() if line.get("event", {}).get("step") == 2)
        process.process.send_signal(signal.SIGSTOP)  # paused until the chat was opened and closed
        for _time in range(2):  # closing the chat loses no progress
            async with sitting(home, small) as seat:
                await seat.until(partial(_curve_begun, seat))
        async with sitting(home, small) as seat:
            await seat.until(lambda: seat.screen.panel.progress is not None)
            process.process.send_signal(signal.SIGCONT)
            await seat.sees("See /report for details")
            await seat.until(lambda: seat.screen.chat.adapter is not None)
            assert seat.screen.panel.progress is None


async def test_a_missing_journal_found_by_every_night_check_is_reported_once(
    home: Home, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(night_scheduler, "TICK_SECONDS", 0.05)
    ticks: list[str] = []

    def counted(*arguments: Any, **options: Any) -> Report | None:
        ticks.append("tick")
        return run_if_due(*arguments, **options)

    monkeypatch.setattr(night_scheduler, "run_if_due", counted)
    nights = small.night.model_copy(update={"enabled": True})
    async with sitting(home, small.model_copy(update={"night": nights})) as seat:
        await seat.until(lambda: len(ticks) > 2)
        home.journal.with_name("journal.sqlite-wal").unlink()
        await seat.sees("nothing more can be saved")
        seen = len(ticks)
        await seat.until(lambda: len(ticks) > seen + 5)
        await seat.pilot.pause()
        assert " ".join(seat.shown.split()).count("nothing more can be saved") == 1


async def test_a_refused_adapter_is_reported_once_when_the_chat_opens(
    home: Home, quick: Settings
) -> None:
    home.adapters.mkdir(parents=True)
    (home.adapters / "current.json").write_text("[]")
    async with sitting(home, quick) as seat:
        await seat.sees("The current adapter was not loaded: cannot read")
        await seat.asks("Who are you?")
        assert seat.shown.count("was not loaded") == 1


def _curve_begun(seat: Seat) -> bool:
    progress = seat.screen.panel.progress
    return progress is not None and len(progress.losses) > 1
