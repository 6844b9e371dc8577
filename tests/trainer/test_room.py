"""One card for a chat and a night: shared, lent, or left to the chat."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainer import room

GIB = 1 << 30


@pytest.mark.parametrize(
    ("free", "chat", "night", "way"),
    [
        (60, 5, 12, "beside"),
        (12, 5, 12, "instead"),  # nothing would be spared
        (10, 5, 12, "instead"),
        (7, 5, 12, "processor"),
        (0, 0, 12, "processor"),
    ],
)
def test_the_card_goes_to_whom_it_fits(free: int, chat: int, night: int, way: str) -> None:
    found = room.plan(free=free * GIB, chat=chat * GIB, night=night * GIB)
    assert found.way == way
    assert found.sentence and "\n" not in found.sentence


def test_a_night_of_a_small_model_takes_little_more_than_its_weights() -> None:
    assert 3 * GIB < room.night_bytes(600_000_000, 600 << 20) < 4 * GIB


def test_what_is_free_is_what_the_driver_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "nvidia-smi"  # a stand-in for the driver's own tool
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    for script, found in (
        ("echo 79000; echo 10", 79000 << 20),
        ("echo '[N/A]'", None),
        ("echo no driver >&2; exit 9", None),
    ):
        stand_in.write_text(f"#!/bin/sh\n{script}\n")
        stand_in.chmod(0o755)
        assert room.free_bytes() == found
    stand_in.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert room.free_bytes() is None
