"""The tests in this folder share the base's answers to anchors."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def base_answers(shared_base_answers: None) -> None:
    """Share the base's answers (see `tests/conftest.py`)."""
