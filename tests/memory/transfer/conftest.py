"""Another memory to import into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memory.memory import Memory
from memory.settings.paths import Home
from memory.settings.settings import Settings


@pytest.fixture
def elsewhere(tmp_path: Path, settings: Settings) -> Iterator[Memory]:
    """Another home, with nothing in it."""
    with Memory.open(Home.at(tmp_path / "elsewhere"), settings, dense=False) as memory:
        yield memory
