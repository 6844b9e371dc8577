"""Computing the frozen layers once per sample changes nothing about a step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.fit.test_training_loop import RECIPE, make_job
from trainer.fit.autotune import MEASURED, choose_micro_batch_size, choose_threads
from trainer.fit.job import Job, Sample
from trainer.fit.model import lower_layers
from trainer.fit.model.lora_model import with_adapter
from trainer.fit.step import Stepper

pytestmark = [pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")]


def stepper_of(job: Job) -> Stepper:
    """A stepper whose adapter already changes something."""
    model = with_adapter(job, {}, "cpu")
    torch.manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    return Stepper(model, job.recipe, "cpu", lambda tokens: None)


def gradients(stepper: Stepper, samples: Any) -> list[torch.Tensor]:
    stepper.compute_base_log_probabilities(samples)
    stepper(samples)
    return [p.grad.clone() for p in stepper.model.parameters() if p.grad is not None]


@pytest.fixture
def job(tiny: Path, tmp_path: Path) -> Job:
    return make_job(tiny, tmp_path, replace(RECIPE, frozen_layers=0.5))


def test_the_gradients_are_those_of_the_whole_model(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = stepper_of(job)
    assert halves.lower.count > 0
    halves.lower.arrange(job.samples)
    ours = gradients(halves, job.samples)
    monkeypatch.setattr(lower_layers, "first_adapted_layer", lambda layers: 0)
    whole = stepper_of(job)
    theirs = gradients(whole, job.samples)
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_without_memory_for_the_cache_the_result_is_the_same(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = gradients(stepper_of(job), job.samples)
    monkeypatch.setitem(lower_layers.KEPT_BYTES, "cpu", 0)
    anew = gradients(stepper_of(job), job.samples)
    for one, other in zip(kept, anew, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_cached_layers_do_not_depend_on_the_order_of_samples(job: Job) -> None:
    found = []
    for first in (0, 2):
        stepper = stepper_of(job)
        stepper.lower.arrange(job.samples)
        stepper.evaluate([job.samples[first]])
        stepper.evaluate(job.samples)
        found.append([stepper.lower._kept[sample] for sample in job.samples])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_chunked_logits_give_the_same_gradients(job: Job) -> None:
    at_once, parted = stepper_of(job), stepper_of(job)
    long = Sample(
        (*b"Who?", *b"a longer reply than sixteen", 258), 4, 0, rejected=(*b"Who?No", 258)
    )
    samples = [long, *job.samples[1:]]
    parted._logits_at_once = 4
    for one, other in zip(gradients(at_once, samples), gradients(parted, samples), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_micro_batches_are_sized_by_activation_memory(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepper = stepper_of(job)
    assert choose_micro_batch_size(stepper, job.samples, "cpu") == stepper.micro_batches.size
    monkeypatch.setitem(choose_micro_batch_size.__globals__["ACTIVATION_BYTES"], "cpu", 1 << 20)
    monkeypatch.setitem(choose_micro_batch_size.__globals__, "MIN_MICRO_BATCH_TOKENS", 1)
    small = choose_micro_batch_size(stepper, job.samples, "cpu")
    monkeypatch.setitem(choose_micro_batch_size.__globals__["ACTIVATION_BYTES"], "cpu", 2 << 20)
    large = choose_micro_batch_size(stepper, job.samples, "cpu")
    assert 1 < small < large < stepper.micro_batches.size
    assert large == pytest.approx(2 * small, abs=1)


def test_in_bfloat16_the_kept_layers_take_half_the_memory(job: Job) -> None:
    found = {}
    for reduced in (False, True):
        stepper = stepper_of(job)
        stepper.use_precision(reduced)
        stepper.lower.arrange(job.samples)
        batch, hidden = stepper.forward(job.samples)
        states = hidden.detach().flatten(0, 1)[batch.inputs]  # without padding
        found[reduced] = stepper.lower._bytes, states
    assert found[True][0] * 2 == found[False][0]
    assert found[True][1].dtype == found[False][1].dtype
    moved = (found[True][1] - found[False][1]).norm() / found[False][1].norm()
    assert 0 < moved < 0.02


def watched(stepper: Stepper, monkeypatch: pytest.MonkeyPatch) -> list[list[Sample]]:
    """Return a list to which the samples of each forward pass are added."""
    seen: list[list[Sample]] = []
    forward = stepper.forward

    def watching(samples: Any) -> Any:
        seen.append(list(samples))
        return forward(samples)

    monkeypatch.setattr(stepper, "forward", watching)
    return seen


def test_activations_are_measured_on_the_shortest_samples(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long ones would take more memory than all of the training, which divides them."""
    long = Sample(tuple(b"Who was it, and when, and where? " * 9), 90, 0)
    stepper = stepper_of(job)
    seen = watched(stepper, monkeypatch)
    choose_micro_batch_size(stepper, [long] * MEASURED + [*job.samples] * MEASURED, "cpu")
    [some] = seen
    assert len(some) == MEASURED
    assert long not in some


def test_threads_are_timed_in_micro_batches(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    stepper = stepper_of(job)
    stepper.micro_batches.size = 1
    seen = watched(stepper, monkeypatch)
    choose_threads(stepper, replace(job.recipe, threads=0), job.samples, "cpu")
    assert seen
    assert all(len(some) == 1 for some in seen)
