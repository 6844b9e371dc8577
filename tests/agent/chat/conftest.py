"""Fixtures of the tests of the chat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.chat.chat import Chat
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings


@pytest.fixture
def quick(home: Home, tiny: Path) -> Settings:
    """The tiny model with short replies and keyword search."""
    return read_settings(
        home,
        {"model": {"path": str(tiny)}, "sampling": {"max_tokens": 4}, "memory": {"dense": False}},
    )


@pytest.fixture
def chat(home: Home, quick: Settings) -> Iterator[Chat]:
    """An open chat in the thread `trip`."""
    with Chat.open(home, quick, thread="trip") as chat:
        yield chat
