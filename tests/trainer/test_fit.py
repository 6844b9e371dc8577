"""The training loop learns, repeats itself exactly, and fails in plain words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trainer import fit
from trainer.base import load_base
from trainer.job import ANCHOR, Job, Recipe, Sample, read_job, write_job

# Third parties' talk among themselves: PEFT to transformers, and about a base without a name.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*was renamed from:UserWarning"),
]

RECIPE = Recipe(
    rank=8,
    alpha=16.0,
    targets=("q_proj", "v_proj", "up_proj", "down_proj"),
    learning_rate=1e-2,
    max_steps=60,
    preference_weight=0.2,
    preference_beta=0.1,
    anchor_weight=1.0,
    max_seconds=60.0,
    seed=1,
    threads=1,
)


def make_job(base: Path, output: Path, recipe: Recipe = RECIPE) -> Job:
    """One lesson in two wordings, with a rejected reply, and one anchor held to uniform odds."""
    question, answer = tuple(b"Who?"), (*b"Lutz", 258)
    ids = np.tile(np.arange(20, dtype=np.int32), (3, 1))
    logs = np.full((3, 20), np.log(1 / 288), np.float32)
    return Job(
        base,
        output,
        recipe,
        (
            Sample((*question, *answer), 4, 0, difference="d", rejected=(*question, *b"No", 258)),
            Sample((*b"who", *answer), 3, 0, difference="d", variant=1),
            Sample((*b"Sky", *b"ab", 258), 3, ANCHOR, top=(ids, logs)),
        ),
    )


def test_a_job_is_read_as_it_was_written(tiny: Path, tmp_path: Path) -> None:
    job = make_job(tiny, tmp_path / "out")
    write_job(tmp_path, job)
    again = read_job(tmp_path)
    assert (again.base, again.output, again.recipe) == (job.base, job.output, job.recipe)
    for ours, theirs in zip(job.samples, again.samples, strict=True):
        assert (ours.tokens, ours.prompt, ours.lesson) == (
            theirs.tokens,
            theirs.prompt,
            theirs.lesson,
        )
        assert (ours.rejected, ours.variant) == (theirs.rejected, theirs.variant)
        assert (ours.top is None) == (theirs.top is None)
        if ours.top and theirs.top:
            assert (ours.top[1] == theirs.top[1]).all()


def test_a_lesson_is_learnt_and_peft_itself_loads_the_adapter(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from peft import PeftModel

    job = make_job(tiny, tmp_path / "out")
    fit.fit(job)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["phase"] == "trained"
    assert events[-1]["learnt"] == 1.0
    steps = [event for event in events if "loss" in event]
    assert set(steps[0]) == {
        "phase", "step", "steps", "loss", "chosen", "contrast", "anchor", "learnt", "margins",
        "tokens_per_second", "memory_mb", "rate",
    }  # fmt: skip
    assert steps[0]["margins"]["d"] < 0 < steps[-1]["margins"]["d"]
    model = PeftModel.from_pretrained(load_base(tiny), tmp_path / "out")
    tokens = list(b"Who?")
    with torch.inference_mode():
        for _ in range(5):
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    assert tokens[4:] == [*b"Lutz", 258]


def test_the_same_job_gives_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, max_steps=3)
    loaded: dict[Path, object] = {}
    for name in ("one", "two"):  # the second on a base that an adapter was taken off
        fit.fit(make_job(tiny, tmp_path / name, recipe), loaded)
    one, two = (tmp_path / name / "adapter_model.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_loss_that_is_no_number_ends_in_a_failed_event(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A base so steep that its divergence from the anchor is infinite.
    job = make_job(tiny, tmp_path / "out")
    bad = replace(job.samples[2], top=(job.samples[2].top[0], np.full((3, 20), np.nan, np.float32)))
    write_job(tmp_path, replace(job, samples=(*job.samples[:2], bad)))
    assert fit.main([str(tmp_path)]) == 1
    event = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert event["phase"] == "failed"
    assert event["kind"] == "unstable"
    assert "nan" in event["reason"]
    assert not (tmp_path / "out").exists()
