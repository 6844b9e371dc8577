"""A training that was killed continues from its last checkpoint, with the result it would have had."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.child_process import environment
from tests.trainer.fit.test_training_loop import RECIPE, make_job
from trainer.fit import resume_training, training_loop
from trainer.fit.job import Job, write_job
from trainer.fit.resume_training import DONE, STATE, job_digest
from trainer.fit.step import Stepper

pytestmark = [pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")]

STEPS = 30


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save after every step."""
    monkeypatch.setattr(resume_training, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(resume_training, "MOST_SHARE", 1e9)


def job_in(folder: Path, tiny: Path, steps: int = STEPS) -> Job:
    folder.mkdir()
    job = make_job(tiny, folder / "adapter", replace(RECIPE, max_steps=steps))
    write_job(folder, job)
    return job


class KilledError(Exception):
    """Simulates a kill within this process."""


def die_at(patch: pytest.MonkeyPatch, step: int) -> None:
    whole, calls = Stepper.__call__, 0

    def until(self: Stepper, samples: Any, number: int) -> Any:
        nonlocal calls
        calls += 1
        if calls == step:
            raise KilledError
        return whole(self, samples, number)

    patch.setattr(Stepper, "__call__", until)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("step", [2, 11, 20])
def test_a_resumed_training_ends_with_the_same_bytes(
    tiny: Path, tmp_path: Path, step: int, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parted = (job_in(tmp_path / name, tiny) for name in ("whole", "parted"))
    training_loop.fit(whole)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
        die_at(patch, step)
        training_loop.fit(parted)
    assert (tmp_path / "parted" / STATE).exists()
    capsys.readouterr()
    training_loop.fit(parted)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    planned = next(event for event in events if "threads" in event)
    assert planned["step"] == step - 1
    one, other = (job.output / "adapter_model.safetensors" for job in (whole, parted))
    assert one.read_bytes() == other.read_bytes()
    assert not (tmp_path / "parted" / STATE).exists()


@pytest.mark.usefixtures("always")
def test_a_finished_training_is_not_repeated(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = job_in(tmp_path / "job", tiny, steps=3)
    training_loop.fit(job)
    first = capsys.readouterr().out.splitlines()[-1]
    training_loop.fit(job)
    assert capsys.readouterr().out.splitlines() == [first]
    training_loop.fit(replace(job, output=job.output.with_name("other")))
    assert len(capsys.readouterr().out.splitlines()) > 1
    training_loop.fit(job)
    capsys.readouterr()
    (job.output / "adapter_model.safetensors").unlink()
    training_loop.fit(job)
    assert len(capsys.readouterr().out.splitlines()) > 1


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("damage", [b"", b"\x00" * 40, b"{}", None])
def test_a_damaged_or_foreign_checkpoint_is_ignored(
    tiny: Path, tmp_path: Path, damage: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    job = job_in(tmp_path / "job", tiny, steps=6)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
        die_at(patch, 4)
        training_loop.fit(job)
    state = tmp_path / "job" / STATE
    if damage is None:
        job = replace(job, recipe=replace(job.recipe, learning_rate=0.02))
    else:
        state.write_bytes(damage)
        (tmp_path / "job" / DONE).write_bytes(damage)
    capsys.readouterr()
    training_loop.fit(job)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert next(event for event in events if "threads" in event)["step"] == 0
    assert events[-1]["phase"] == "trained"


def test_a_job_is_identified_by_its_data_and_not_by_its_time(tiny: Path, tmp_path: Path) -> None:
    job = make_job(tiny, tmp_path / "adapter")
    again = make_job(tiny, tmp_path / "adapter", replace(RECIPE, max_seconds=1.0))
    assert job_digest(job) == job_digest(again)
    assert job_digest(replace(job, samples=job.samples[1:])) != job_digest(job)
    assert job_digest(replace(job, recipe=replace(RECIPE, seed=2))) != job_digest(job)


CHILD = """
import sys
from trainer.fit import resume_training, training_loop
resume_training.SAVE_SECONDS, resume_training.MOST_SHARE = 0.0, 1e9
sys.exit(training_loop.main([sys.argv[1]]))
"""


@pytest.mark.slow
def test_a_process_killed_at_random_times_ends_with_the_same_bytes(
    tiny: Path, tmp_path: Path
) -> None:
    order = random.Random(5)
    whole, parted = (job_in(tmp_path / name, tiny, 60) for name in ("whole", "parted"))
    last = run(tmp_path / "whole")[-1]
    starts = []
    for _ in range(5):
        steps = run(tmp_path / "parted", kill_after=order.randint(1, 4), wait=order.random() * 0.02)
        starts.append(steps[0])
    steps = run(tmp_path / "parted")
    assert starts == sorted(starts)
    assert steps[0] > 4
    assert steps[-1] == last
    one, other = (job.output / "adapter_model.safetensors" for job in (whole, parted))
    assert one.read_bytes() == other.read_bytes()


def run(folder: Path, kill_after: int | None = None, wait: float = 0.0) -> list[int]:
    """Train in a process that is killed after this many steps and seconds; return its steps."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)],
        env=environment() | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        steps = []
        for line in child.stdout:
            event = json.loads(line)
            if "loss" in event:
                steps.append(event["step"])
            if kill_after is not None and len(steps) >= kill_after:
                time.sleep(wait)
                child.send_signal(signal.SIGKILL)
                break
    return steps
