"""Nights that are killed repeatedly at random times: no finished work is repeated."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import read_pointer
from memory.settings.paths import Home
from tests.faults.nights.test_night_killed import gone, mark, night
from tests.support.processes import PROGRAMS, Night, children
from trainer.lessons.anchors import base_answers

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are looked at through /proc"
)
STEPS = 24
LONG: dict[str, Any] = {"settings": {"training": {"max_steps": STEPS}}}


def answered(home: Home) -> set[str]:
    """Return the prompts whose base answers are saved."""
    found: set[str] = set()
    for path in (home.cache / "anchors").glob("*"):
        read = base_answers._read if path.suffix == ".npz" else base_answers._read_part
        found |= read(path).keys()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_night_killed_at_random_times_continues_where_it_was(
    home: Home, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROGRAMS / "quick_saves"))
    monkeypatch.setenv("QUICK_SAVES", str(tmp_path / "whole"))
    whole = Home.at(tmp_path / "undisturbed").prepare()
    (whole.cache / "judged").symlink_to((home.cache / "judged").resolve())
    for one in (whole, home):
        mark(one)
    with Night(whole.data, tiny) as process:
        began = time.monotonic()
        assert process.night(**night(0), **LONG) == {"verdict": "published"}
        took = time.monotonic() - began
    monkeypatch.setenv("QUICK_SAVES", str(tmp_path / "steps"))
    draw, before, kills = random.Random(seed), set[str](), 0
    while True:
        with Night(home.data, tiny) as process:
            # A night is given up after three attempts; the next one still continues its work.
            process.ask(**night(kills // 2), **LONG)
            if kills < 6:
                until = time.monotonic() + draw.random() * took
                while time.monotonic() < until and process.process.poll() is None:
                    time.sleep(0.01)
            else:
                assert process.hear("answer") == {"verdict": "published"}
            born = children(process.process.pid)
            process.kill()
            assert gone(born)
        saved = answered(home)
        assert before <= saved
        before, kills = saved, kills + 1
        if read_pointer(home.adapters).current is not None:
            break
    steps = (tmp_path / "steps").read_text().splitlines() if kills else []
    alone = (tmp_path / "whole").read_text().splitlines()
    # A step that was taken and not saved when the process died is taken again.
    assert steps.count("try-1") <= alone.count("try-1") + kills
