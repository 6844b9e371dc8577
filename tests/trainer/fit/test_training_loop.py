"""The training loop learns, is deterministic, and fails with clear errors."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agent.child_process import environment
from trainer.fit import batch_sampler, training_loop
from trainer.fit.batch_sampler import Standing
from trainer.fit.job import ANCHOR, CONTROL_FILE, Job, Recipe, Sample, read_job, write_job
from trainer.fit.model.base_model import load_base
from trainer.fit.model.lora_model import with_adapter
from trainer.fit.step import Stepper
from trainer.fit.training_state import RunState

# Warnings of third-party packages: PEFT about transformers, and about a base without a name.
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
    hidden_weight=1.0,
    frozen_layers=0.0,
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


def test_a_job_is_read_back_unchanged(tiny: Path, tmp_path: Path) -> None:
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


def test_a_lesson_is_learned_and_peft_loads_the_adapter(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from peft import PeftModel

    job = make_job(tiny, tmp_path / "out")
    training_loop.fit(job)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["phase"] == "trained"
    assert events[-1]["learnt"] == 1.0
    steps = [event for event in events if "loss" in event]
    assert set(steps[0]) == {
        "phase", "event", "step", "steps", "loss", "chosen", "contrast", "anchor", "hidden", "learnt",
        "margins", "lessons", "tokens_per_second", "memory_mb", "rate",
    }  # fmt: skip
    assert steps[0]["margins"]["d"] < 0 < steps[-1]["margins"]["d"]
    model = PeftModel.from_pretrained(load_base(tiny), tmp_path / "out")
    tokens = list(b"Who?")
    with torch.inference_mode():
        for _ in range(5):
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    assert tokens[4:] == [*b"Lutz", 258]


def run(
    job: Job, folder: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[dict[str, Any]]]:
    """Fit `job` as the child does; returns the exit code and the events."""
    folder.mkdir(parents=True, exist_ok=True)
    write_job(folder, replace(job, output=folder / "adapter"))
    code = training_loop.main([str(folder)])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_stop_keeps_the_best_state_and_abort_keeps_nothing(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for word in ("stop", "abort"):
        folder = tmp_path / word
        folder.mkdir()
        (folder / CONTROL_FILE).write_text(word)
        code, events = run(make_job(tiny, folder), folder, capsys)
        assert code == 0
        if word == "stop":
            assert (events[-1]["phase"], events[-1]["reason"]) == ("trained", "stopped")
            assert events[-1]["steps"] == 1
            assert (folder / "adapter" / "adapter_model.safetensors").exists()
        else:
            assert events[-1] == {"phase": "aborted", "event": "aborted"}
            assert not (folder / "adapter").exists()


def test_the_time_limit_ends_the_training_with_the_best_state(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = replace(RECIPE, max_seconds=1e-3, max_steps=10_000)
    _, events = run(make_job(tiny, tmp_path, recipe), tmp_path / "job", capsys)
    assert events[-1]["reason"] == "time"
    assert events[-1]["best_step"] == 1


def test_the_best_surveyed_state_is_saved_instead_of_the_last(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A rate so high that learned lessons are lost again and again.
    recipe = replace(RECIPE, learning_rate=0.3, max_steps=40, anchor_weight=0.0)
    monkeypatch.setattr(training_loop, "SURVEY_FROM", 0.0)
    monkeypatch.setattr(training_loop, "SURVEY_PAUSE", 2)
    monkeypatch.setattr(batch_sampler, "ENOUGH", 2.0)
    found: list[tuple[int, float]] = []
    keep = RunState.keep_if_best

    def noting(self: Any, standing: Standing, trained: Any) -> None:
        keep(self, standing, trained)
        found.append((self.step, standing.learned))

    monkeypatch.setattr(RunState, "keep_if_best", noting)
    _, events = run(make_job(tiny, tmp_path, recipe), tmp_path / "job", capsys)
    done = events[-1]
    assert len(found) > 10
    assert done["learnt"] == max(share for _, share in found)
    assert dict(found)[done["best_step"]] == done["learnt"]


def test_the_panel_is_evaluated_only_if_a_part_of_it_is_settled(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "SURVEY_FROM", 0.0)
    monkeypatch.setattr(training_loop, "SURVEY_PAUSE", 2)
    monkeypatch.setattr(training_loop, "PROBED", 2)
    evaluate, sizes = Stepper.evaluate, list[int]()

    def noting(self: Any, samples: Any) -> Any:
        sizes.append(len(samples))
        return evaluate(self, samples)

    monkeypatch.setattr(Stepper, "evaluate", noting)
    job = make_job(tiny, tmp_path, replace(RECIPE, max_steps=40))
    _, events = run(job, tmp_path / "job", capsys)
    assert events[-1]["reason"] == "learnt"
    whole = len(job.samples)
    assert sizes.count(2) > sizes.count(whole) >= 2  # once most is learned, and after the decay


def test_micro_batches_have_the_gradients_of_the_whole_step(tiny: Path, tmp_path: Path) -> None:
    job = make_job(tiny, tmp_path)
    gradients = []
    for part in (4096, 1):
        model = with_adapter(job, {}, "cpu")
        stepper = Stepper(model, job.recipe, "cpu", lambda tokens: None)
        stepper.micro_batches.size = part
        stepper.compute_base_log_probabilities(job.samples)
        outcome = stepper(job.samples)
        assert set(outcome.margins) == set(job.samples[:2])
        assert set(outcome.divergences) == {job.samples[2]}
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 0
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_survey_gives_the_results_of_a_step_and_trains_nothing(
    tiny: Path, tmp_path: Path
) -> None:
    job = make_job(tiny, tmp_path)
    model = with_adapter(job, {}, "cpu")
    stepper = Stepper(model, job.recipe, "cpu", lambda tokens: None)
    stepper.compute_base_log_probabilities(job.samples)
    looked = stepper.evaluate(job.samples)
    assert all(parameter.grad is None for parameter in model.parameters())
    stepped = stepper(job.samples)
    assert looked.margins == pytest.approx(stepped.margins, abs=1e-5)
    assert looked.divergences == pytest.approx(stepped.divergences, abs=1e-6)


@pytest.mark.parametrize("frozen", [0.0, 0.5])
def test_noise_changes_the_lessons_of_a_step_and_nothing_else(
    tiny: Path, tmp_path: Path, frozen: float
) -> None:
    job = make_job(tiny, tmp_path, replace(RECIPE, noise=0.3, frozen_layers=frozen))
    model = with_adapter(job, {}, "cpu")
    stepper = Stepper(model, job.recipe, "cpu", lambda tokens: None)
    stepper.lower.arrange(job.samples)
    stepper.compute_base_log_probabilities(job.samples)
    plain = stepper.evaluate(job.samples)
    one, again, other = (stepper(job.samples, step) for step in (1, 1, 2))
    assert one.margins == again.margins
    assert one.margins != other.margins != plain.margins
    assert one.divergences == pytest.approx(plain.divergences, abs=1e-6)
    assert stepper.evaluate(job.samples).margins == plain.margins


def test_changed_anchors_are_restored_before_a_training_ends(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An anchor that no step has drawn is evaluated once everything is learned, and then drawn."""
    job = make_job(tiny, tmp_path, replace(RECIPE, max_steps=200))
    anchor = job.samples[2]
    # So many anchors that learning one lesson takes too few steps to draw them all.
    many = tuple(replace(anchor, tokens=(65 + n, *anchor.tokens[1:])) for n in range(40))
    drawn: set[int] = set()
    looked: list[int] = []
    step, look = Stepper.__call__, Stepper.evaluate

    def noting(self: Stepper, samples: Any, number: int) -> Any:
        drawn.update(sample.tokens[0] for sample in samples if sample.lesson == ANCHOR)
        return step(self, samples, number)

    def counting(self: Stepper, samples: Any) -> Any:
        looked.append(sum(sample.lesson == ANCHOR for sample in samples))
        return look(self, samples)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stepper, "__call__", noting)
        patch.setattr(Stepper, "evaluate", counting)
        _, events = run(replace(job, samples=(*job.samples[:2], *many)), tmp_path / "job", capsys)
    assert events[-1]["phase"] == "trained"
    assert events[-1]["learnt"] == 1.0
    assert looked
    assert set(looked) == {len(many)}
    assert len(drawn) > 30


def test_the_hidden_states_of_anchors_are_measured_against_the_bases(
    tiny: Path, tmp_path: Path
) -> None:
    job = make_job(tiny, tmp_path)
    more = Sample((*b"Sky?", *b"c", 258), 4, ANCHOR, top=job.samples[2].top)
    more = replace(more, top=tuple(part[:2] for part in more.top))  # type: ignore[arg-type,union-attr]
    model = with_adapter(job, {}, "cpu")
    with torch.no_grad():  # different from the base, as after some steps
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    stepper = Stepper(model, job.recipe, "cpu", lambda tokens: None)
    outcome = stepper([*job.samples, more])
    expected, tokens = 0.0, 0
    for sample in (job.samples[2], more):
        ids = torch.tensor([sample.tokens[:-1]])
        inner = model.get_base_model().model
        with torch.no_grad():
            ours = inner(ids).last_hidden_state[0]
            with model.disable_adapter():
                base = inner(ids).last_hidden_state[0]
        expected += float((((ours - base) ** 2).sum(-1) / (base**2).sum(-1)).sum())
        tokens += len(base)
    assert outcome.hidden > 0
    assert outcome.hidden == pytest.approx(expected / tokens, rel=0.02)


def test_the_contrast_of_a_span_covers_only_the_span(tiny: Path, tmp_path: Path) -> None:
    job = make_job(tiny, tmp_path)
    question = tuple(b"Who?")
    whole = Sample((*question, *b"abXde"), 4, 0, rejected=(*question, *b"abYde"))
    span = replace(whole, parts=(6, 7, 6, 7))
    model = with_adapter(job, {}, "cpu")
    stepper = Stepper(model, job.recipe, "cpu", lambda tokens: None)
    stepper.compute_base_log_probabilities([whole, span])
    for sample, start, end in ((whole, 4, 9), (span, 6, 7)):
        for tokens, found in zip(
            (sample.tokens, sample.rejected), stepper._base_sums[sample], strict=True
        ):
            with torch.no_grad(), model.disable_adapter():
                logs = model(torch.tensor([tokens])).logits[0].log_softmax(-1)
            expected = sum(float(logs[place - 1, tokens[place]]) for place in range(start, end))
            assert found == pytest.approx(expected, abs=1e-3)


HUNGRY = """
import resource, sys
from pathlib import Path
import torch, peft, transformers
from trainer.fit import micro_batches, training_loop
from trainer.fit.job import read_job
used = int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (used + (int(sys.argv[2]) << 20),) * 2)
micro_batches.MICRO_BATCH_TOKENS["cpu"] = 1 << 20
sys.exit(training_loop.main([sys.argv[1]]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
@pytest.mark.slow
def test_running_out_of_memory_halves_the_micro_batch_and_continues(
    tiny: Path, tmp_path: Path
) -> None:
    job = make_job(tiny, tmp_path / "adapter", replace(RECIPE, max_steps=2))
    long = tuple(b"x" * 400)
    many = tuple(Sample(long, 200, number, difference=str(number)) for number in range(64))
    write_job(tmp_path, replace(job, samples=(*many, *job.samples)))
    done = subprocess.run(
        [sys.executable, "-c", HUNGRY, str(tmp_path), "40"],
        env=environment() | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert events[-1]["phase"] == "trained", done.stdout + done.stderr
    assert any("halved" in event for event in events)


def test_an_unreadable_base_is_reported_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, events = run(make_job(tmp_path / "none.gguf", tmp_path), tmp_path / "job", capsys)
    assert code == 1
    assert events[-1]["kind"] == "refused"
    assert events[-1]["reason"].startswith("there is no model at")


def test_the_same_job_gives_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPE, max_steps=3)
    loaded: dict[Path, object] = {}
    for name in ("one", "two"):  # the second on a base from which an adapter was removed
        training_loop.fit(make_job(tiny, tmp_path / name, recipe), loaded)
    one, two = (tmp_path / name / "adapter_model.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_loss_that_is_not_a_number_ends_in_a_failed_event(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A base so steep that its divergence from the anchor is infinite.
    job = make_job(tiny, tmp_path / "out")
    assert job.samples[2].top is not None
    ids, _top = job.samples[2].top
    bad = replace(job.samples[2], top=(ids, np.full((3, 20), np.nan, np.float32)))
    write_job(tmp_path, replace(job, samples=(*job.samples[:2], bad)))
    assert training_loop.main([str(tmp_path)]) == 1
    event = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert event["phase"] == "failed"
    assert event["kind"] == "unstable"
    assert "nan" in event["reason"]
    assert not (tmp_path / "out").exists()
