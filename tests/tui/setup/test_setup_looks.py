"""Snapshots of the setup; see `test_snapshots.py`."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from memory.settings.paths import Home
from memory.settings.settings import read_settings
from tests.tui.looks import look
from tests.tui.seat import sitting
from trainer.night import service
from tui.setup.setup import Choice

SIZES = [pytest.param((80, 24), id="80x24"), pytest.param((120, 36), id="120x36")]


@pytest.fixture(autouse=True)
def the_same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Choice("starter", "starter", 4_159_392),
        Choice("download", "qwen3-0.6b q8_0", 642_000_000, pull=("Qwen/Qwen3-0.6B-GGUF", "a.gguf")),
        Choice("download", "qwen3-8b q4_k_m", 5_002_000_000, pull=("Q/Q", "b.gguf"), fits=False),
        Choice("path", "path"),
    ]
    monkeypatch.setattr("tui.setup.model_page.choices", lambda _home: found)
    monkeypatch.setattr(service, "detect", lambda: "cron")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("COLORTERM", "truecolor")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["discern-dark", "discern-light"])
async def test_the_model_page(
    home: Home, size: tuple[int, int], theme: str, snapshot: SnapshotAssertion
) -> None:
    settings = read_settings(home, {"ui": {"theme": theme}})
    async with sitting(home, settings, size=size, ready=False, setup=True) as seat:
        await seat.sees("qwen3-8b", "ready to use")
        await seat.pilot.press("down")
        await seat.sees("› qwen3-0.6b")
        await seat.pilot.pause()
        assert look(seat.app) == snapshot


@pytest.mark.parametrize("size", SIZES)
async def test_the_schedule_page(
    home: Home, size: tuple[int, int], snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with sitting(home, read_settings(home), size=size, ready=False, setup=True) as seat:
        await seat.sees("ready to use", "qwen3-8b")
        await seat.pilot.press("enter")
        await seat.sees("step 2 of 3", "› every night")
        await seat.pilot.press("down")
        await seat.sees("› every night at 03:15, with a system timer", "shown before it is")
        await seat.pilot.pause()
        assert look(seat.app) == snapshot
