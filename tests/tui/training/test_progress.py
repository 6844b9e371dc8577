"""A training's progress, computed from its events."""

from __future__ import annotations

from memory.sentence import Sentence
from trainer.events import (
    BaseLoading,
    Composing,
    Counted,
    Event,
    Exporting,
    Judged,
    Probing,
    Publishing,
    Reported,
    Started,
    Step,
    StepsPlanned,
    Trained,
    TrialStarted,
    Unknown,
)
from tui.training.progress import Progress, bar, clock, sparkline


def step(number: int, loss: float, learnt: float) -> Step:
    return Step(number, 200, loss, loss, 0.0, 0.0, 0.0, learnt, {}, {}, 100, 100, 1e-4)


EVENTS: list[Event] = [
    Started(1, 0, "starter", 2, False, None),
    Composing(2),
    Counted("anchors", 3, 12),
    TrialStarted(1, 1e-4, 1),
    BaseLoading("cpu"),
    StepsPlanned(0, 200, 1, "float32", 0.5),
    step(1, 2.0, 0.0),
    step(2, 0.5, 1.0),
    Trained("adapter", steps=2, learnt=1.0),
    Exporting(),
    Probing(),
    Counted("gate", 1, 9),
    Judged(True, 1.0, Sentence(""), (True,)),
    Publishing(),
    Reported("published", Sentence(""), None),
]


def test_the_progress_never_decreases() -> None:
    progress, shares = Progress(), []
    for event in EVENTS:
        progress = progress.after(event)
        shares.append(progress.share)
    assert shares == sorted(shares)
    assert progress.losses == (2.0, 0.5)
    assert progress.learnt == 1.0


def test_a_second_trial_starts_its_own_curve() -> None:
    progress = Progress()
    for event in [*EVENTS[:8], TrialStarted(2, 1e-5, 1)]:
        progress = progress.after(event)
    assert progress.attempt == 2
    assert progress.losses == ()


def test_the_status_line_shows_the_step() -> None:
    progress = Progress().after(EVENTS[6])
    assert progress.short == "training 1/200"
    assert Progress().after(Counted("gate", 0, 0)).short == "training: evaluating"
    assert Progress().after(Unknown("of a newer trainer", {})).label == "of a newer trainer"


def test_bars_stay_within_their_width() -> None:
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
