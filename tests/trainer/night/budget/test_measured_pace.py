"""The pace of earlier runs is stored by model and machine and scaled to the current speed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memory.settings.paths import Home
from trainer.night.budget import measured_pace as paces
from trainer.night.budget.duration_estimate import (
    AS_ANSWERS,
    DEFAULT_STEPS_SHARE,
    completed,
    estimate,
)
from trainer.night.budget.measured_pace import MAX_MODELS, Pace, keep_pace, read_pace
from trainer.night.budget.work_amount import Work

MEASURED = Pace(
    probe=0.1, answer=0.5, held=0.01, baseline=0.2, gate=0.25, load=4.0, tokens=9000.0, token=0.002,
    export=2.0, publish=3.0, steps=0.4, step_tokens=500.0, tries=1.0,
)  # fmt: skip
WORK = Work(
    uncached=100, prompts=300, baselines=40, gate=80, tokens=9000, steps=200, step_tokens=500.0,
    survey_tokens=10_000.0,
)  # fmt: skip


def test_each_model_and_machine_has_its_own_pace(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_pace(home, "a" * 64, MEASURED)
    keep_pace(home, "b" * 64, replace(MEASURED, answer=7.0))
    assert read_pace(home, "a" * 64) == MEASURED
    assert read_pace(home, "b" * 64).answer == 7.0
    assert read_pace(home, "c" * 64) == Pace()
    monkeypatch.setattr(paces, "machine", lambda: "another|arm64|64")
    assert read_pace(home, "a" * 64) == Pace()
    assert not Pace().measured


@pytest.mark.parametrize("text", ["", "[1]", '{"x": 1}', "\0", '{"%s": {"gate": "fast"}}'])
def test_a_damaged_file_costs_only_a_calibration(home: Home, text: str) -> None:
    (home.state / paces.PACE_FILE).write_text(text.replace("%s", f"{'a' * 32}|{paces.machine()}"))
    assert read_pace(home, "a" * 64) == Pace()
    keep_pace(home, "a" * 64, MEASURED)
    assert read_pace(home, "a" * 64) == MEASURED


def test_the_pace_file_has_a_limited_size(home: Home) -> None:
    for number in range(MAX_MODELS + 5):
        keep_pace(home, f"{number:064}", MEASURED)
    assert read_pace(home, f"{4:064}".ljust(64)) != Pace()
    assert len(paces._read(home.state / paces.PACE_FILE)) <= MAX_MODELS


def test_seconds_by_stage_are_work_times_pace() -> None:
    found = estimate(WORK, MEASURED, spent=1.5)
    assert found.stages == {
        "compose": 1.5,
        "anchors": pytest.approx(50.0 + 3.0),
        "beside": pytest.approx(8.0),
        "load": 4.0,
        "train": pytest.approx(200 * 0.4 * 500 * 0.002),
        "export": 2.0,
        "gate": pytest.approx(20.0),
        "publish": 3.0,
    }
    one, two = found.seconds_for(1), found.seconds_for(2)
    assert two - one == pytest.approx(4.0 + 80.0 + 2.0 + 20.0)
    assert found.testing == pytest.approx(26.0)


def test_more_sequences_take_longer_to_prepare() -> None:
    more = estimate(replace(WORK, tokens=19000), MEASURED, spent=0.0).stages["load"]
    assert more == pytest.approx(4.0 + 0.1 * 0.002 * 10000)


def test_a_busy_machine_makes_everything_slower_but_not_longer() -> None:
    slow = completed(MEASURED, Pace(probe=0.2))
    assert slow.gate == pytest.approx(0.5)
    assert slow.token == pytest.approx(0.004)
    assert (slow.steps, slow.step_tokens, slow.tries) == (0.4, 500.0, 1.0)
    assert completed(MEASURED, Pace(probe=100.0)).gate == pytest.approx(1.0)  # an outlier


def test_an_unmeasured_stage_is_estimated_from_measured_ones() -> None:
    first = completed(Pace(), Pace(probe=0.1, answer=2.0, token=0.003, load=1.0))
    assert first.steps == DEFAULT_STEPS_SHARE
    assert first.gate == pytest.approx(AS_ANSWERS["gate"] * 2.0)
    assert first.baseline == pytest.approx(AS_ANSWERS["baseline"] * 2.0)
    assert first.tries == 1
