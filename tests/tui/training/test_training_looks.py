"""Snapshots of the training screen: a recorded run in progress and finished, in two sizes.

After an intended change, run pytest on this file with `--snapshot-update` and review the diff.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from syrupy.assertion import SnapshotAssertion

from memory.settings.paths import Home
from tests.tui.chat.test_snapshots import SIZES, checking, settings_of
from tests.tui.recorded import BEGAN, EVENTS, judged, marked, recorded
from tests.tui.seat import sitting
from tui.screens import training
from tui.screens.training import TrainingScreen


def standing(seconds: float) -> Callable[[], datetime]:
    """A clock that is stopped at this time after the start of the recorded run."""
    return lambda: BEGAN + timedelta(seconds=seconds)


@pytest.mark.parametrize("size", SIZES)
async def test_a_training_in_progress_and_finished(
    home: Home,
    size: tuple[int, int],
    snapshot: SnapshotAssertion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marked(home)
    judged(home, "20260101T000000")  # the estimate of the remaining time uses it
    live = recorded(home, 21.5, alive=True)
    monkeypatch.setattr(training, "now", standing(21.9))
    async with sitting(home, settings_of(home), size=size) as seat:
        check = checking(seat, snapshot)
        await seat.types("/training")
        await seat.until(lambda: isinstance(seat.app.screen, TrainingScreen))
        await seat.sees("left", "7 lessons", "What is 2 + 3?")
        await check("under way")
        await seat.pilot.press("s")
        await check("asking whether to stop")
        await seat.pilot.press("escape", "tab")
        await check("the log has the keyboard")
        await seat.pilot.press("tab", "left_square_bracket")
        await check("the try before")
        await seat.pilot.press("right_square_bracket")
        with (live / "events.jsonl").open("a") as file:
            file.writelines(json.dumps(event) + "\n" for event in EVENTS if event["at"] > 21.5)
        await seat.sees("✓ published")
        await check("over")


async def test_in_the_light_theme(
    home: Home, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked(home)
    recorded(home, 21.5, alive=True)
    monkeypatch.setattr(training, "now", standing(21.9))
    settings = settings_of(home, theme="discern-light")
    async with sitting(home, settings) as seat:
        await seat.pilot.press("ctrl+t")
        await seat.sees("7 lessons", "What is 2 + 3?")
        await checking(seat, snapshot)("a training in the light")


async def test_before_the_first_training(home: Home, snapshot: SnapshotAssertion) -> None:
    settings = settings_of(home)
    night = settings.night.model_copy(update={"enabled": True})
    async with sitting(home, settings.model_copy(update={"night": night})) as seat:
        await seat.pilot.press("ctrl+t")
        await seat.sees("No training has run yet")
        await checking(seat, snapshot)("nothing was trained yet")
