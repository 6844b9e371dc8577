"""A training's progress, folded from events as the trainer sends them."""

from __future__ import annotations

from typing import Any

from tui.training.progress import Progress, bar, clock, sparkline

EVENTS: list[dict[str, Any]] = [
    {"phase": "start"},
    {"phase": "compose", "differences": 2},
    {"phase": "anchors", "done": 3, "total": 12},
    {"phase": "load"},
    {"phase": "train", "step": 0, "steps": 200, "threads": 1},
    {"phase": "train", "step": 1, "steps": 200, "loss": 2.0, "learnt": 0.0},
    {"phase": "train", "step": 2, "steps": 200, "loss": 0.5, "learnt": 1.0},
    {"phase": "trained", "steps": 2, "learnt": 1.0},
    {"phase": "export"},
    {"phase": "probe"},
    {"phase": "gate", "done": 1, "total": 9},
    {"phase": "publish"},
    {"phase": "report", "verdict": "published"},
]


def test_the_share_of_the_whole_only_grows() -> None:
    progress, shares = Progress(), []
    for event in EVENTS:
        progress = progress.after(event)
        shares.append(progress.share)
    assert shares == sorted(shares)
    assert progress.losses == (2.0, 0.5)
    assert progress.learnt == 1.0


def test_a_second_try_begins_its_own_curve() -> None:
    progress = Progress()
    for event in [*EVENTS[:7], {"phase": "load"}]:
        progress = progress.after(event)
    assert progress.attempt == 2
    assert progress.losses == ()


def test_the_status_line_says_the_step() -> None:
    progress = Progress().after(EVENTS[5])
    assert progress.short == "training 1/200"
    assert Progress().after({"phase": "gate"}).short == "training: testing"
    assert Progress().after({"phase": "of a newer trainer"}).label == "of a newer trainer"


def test_bars_keep_to_their_room() -> None:
    assert bar(0.5, 4) == "██░░"
    assert bar(7, 4) == "████"
    assert sparkline((4.0, 2.0, 0.0), 8) == "█▅▁"
    assert len(sparkline(tuple(map(float, range(100))), 10)) == 10
    assert sparkline((), 5) == ""
    assert sparkline((0.0,), 5) == "▁"
    assert (clock(75), clock(3675)) == ("1:15", "1:01:15")
    assert sparkline((0.0, 0.5), 5, 1.0) == "▁▅"


def test_values_that_are_not_finite_are_not_drawn() -> None:
    assert sparkline((4.0, float("nan"), 2.0, float("inf"), 0.0), 8) == "█▅▁"
