"""Random keys, clicks, pastes and sizes: no handler fails, and the chat still answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memory.i18n import interface_language
from memory.settings.paths import Home
from tests.tui.chat.monkey import game

SEEDS = range(1, 13)
"""Every fourth begins with the three steps of the first start, every second is played in Russian."""


@pytest.fixture(autouse=True)
def let_loose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sessions are exported into the folder in which the chat was opened."""
    monkeypatch.chdir(tmp_path)
    yield
    interface_language.use("en")


@pytest.mark.parametrize("seed", [pytest.param(4, marks=pytest.mark.slow), 5])
async def test_random_input_does_not_break_the_chat(home: Home, seed: int) -> None:
    monkey = await game(home, seed, seconds=6)
    assert not monkey.faults, "\n\n".join(monkey.faults)
    assert monkey.pressed > 50
    assert monkey.seen["ChatScreen"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
async def test_prolonged_random_input_does_not_break_the_chat(home: Home, seed: int) -> None:
    monkey = await game(home, seed, seconds=40)
    assert not monkey.faults, "\n\n".join(monkey.faults)
    assert monkey.pressed > 300
    assert len(monkey.seen) > 20
