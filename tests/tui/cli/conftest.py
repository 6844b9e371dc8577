"""Fixtures of the tests of the command line."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from memory.settings.paths import Home


@pytest.fixture(autouse=True)
def quiet_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())


@pytest.fixture
def configured(home: Home, tiny: Path) -> Home:
    home.settings_file.write_text(
        f'[model]\npath = "{tiny}"\n[sampling]\nmax_tokens = 8\ntemperature = 0.0\n'
        "[memory]\ndense = false\n"
    )
    return home
