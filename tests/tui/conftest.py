"""Fixtures of the tests of the interface."""

from __future__ import annotations

import pytest

from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tests.tui.pseudo_terminal import SETTINGS


@pytest.fixture
def quick(home: Home) -> Settings:
    """The starter with greedy sampling, keyword search and no nights."""
    return read_settings(
        home,
        {
            "sampling": {"temperature": 0.0, "max_tokens": 60},
            "memory": {"dense": False},
            "night": {"enabled": False},
        },
    )


@pytest.fixture
def by_words(home: Home) -> Home:
    """A home without an index, after the first start."""
    home.settings_file.write_text("[memory]\ndense = false\n[sampling]\ntemperature = 0.0\n")
    return home


@pytest.fixture
def settled(home: Home) -> Home:
    """A home for a chat on a real terminal, without nights and with short replies."""
    home.settings_file.parent.mkdir(parents=True, exist_ok=True)
    home.settings_file.write_text(SETTINGS)
    return home
