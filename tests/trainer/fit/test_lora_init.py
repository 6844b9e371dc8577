"""The initial adapter: A responds to what is specific to the lessons, and nothing changes yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.trainer.fit.test_training_loop import RECIPE, make_job
from trainer.fit import lora_init
from trainer.fit.job import ANCHOR
from trainer.fit.lora_init import directions, informed_init
from trainer.fit.model.lora_model import with_adapter
from trainer.fit.step import Stepper

pytestmark = [pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")]

TOKENS = 6000


def planted(width: int, loud: int, shared: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs where `loud` is strong only in lessons, and `shared` even stronger in both."""
    draw = torch.Generator().manual_seed(1)
    lessons, anchors = (torch.randn(TOKENS, width, generator=draw) for _ in range(2))
    lessons[:, loud] *= 10
    lessons[:, shared] *= 30
    anchors[:, shared] *= 30
    return lessons, anchors


@pytest.mark.parametrize("width", [16, lora_init.SUBSPACE + 100])
def test_the_first_direction_is_specific_to_the_lessons(width: int) -> None:
    lessons, anchors = planted(width, 3, 5)
    rows = directions(lessons, anchors, 4, lora_init.RIDGE)
    assert rows.shape == (4, width)
    first = rows[0] / rows[0].norm()
    assert abs(float(first[3])) > 0.9
    assert abs(float(first[5])) < 0.1


def test_the_directions_equal_those_of_a_direct_solver() -> None:
    lessons, anchors = (x.double() for x in planted(12, 3, 5))
    ours, theirs = lessons.T @ lessons / TOKENS, anchors.T @ anchors / TOKENS
    theirs = theirs + 0.01 * theirs.diagonal().mean() * torch.eye(12)
    rows = directions(lessons, anchors, 12, 0.01).double()
    values, _vectors = torch.linalg.eig(torch.linalg.solve(theirs, ours))
    expected = values.real.sort(descending=True).values
    found = torch.tensor([float((v @ ours @ v) / (v @ theirs @ v)) for v in rows])
    assert torch.allclose(found, expected.float(), rtol=1e-3)


def test_a_new_adapter_changes_nothing_and_responds_to_the_lessons(
    tiny: Path, tmp_path: Path
) -> None:
    job = make_job(tiny, tmp_path, replace(RECIPE, frozen_layers=0.5))
    model = with_adapter(job, {}, "cpu")
    stepper = Stepper(model, job.recipe, "cpu", lambda part: None)
    lessons = [sample for sample in job.samples if sample.lesson != ANCHOR]
    anchors = [sample for sample in job.samples if sample.lesson == ANCHOR]
    tokens = torch.tensor([list(b"Who? Nobody")])
    before = {name: p.clone() for name, p in model.named_parameters() if "lora_A" in name}
    assert before
    assert not any(".layers.0." in name for name in before)  # the lower half has no adapter
    with torch.no_grad():
        said = model(tokens).logits
        informed_init(stepper, lessons, anchors)
        assert torch.equal(model(tokens).logits, said)
    after = {name: p for name, p in model.named_parameters() if "lora_A" in name}
    assert all(not torch.equal(before[name], after[name]) for name in before)
    assert all(bool(p.isfinite().all()) for p in after.values())
    # Matrices with the same input get the same A.
    names = sorted(name for name in after if "q_proj" in name)
    for name in names:
        assert torch.equal(after[name], after[name.replace("q_proj", "v_proj")])


@pytest.mark.parametrize("silent", [0, 8])
def test_a_rank_equal_to_the_width_starts_within_the_range_of_f16(
    tiny: Path, tmp_path: Path, silent: int
) -> None:
    recipe = replace(RECIPE, rank=512, targets=("q_proj", "k_proj", "o_proj", "up_proj"))
    job = make_job(tiny, tmp_path, recipe)
    model = with_adapter(job, {}, "cpu")
    with torch.no_grad():  # inputs that are zero in some directions
        model.get_input_embeddings().weight[:, :silent] = 0
    stepper = Stepper(model, job.recipe, "cpu", lambda part: None)
    lessons = [sample for sample in job.samples if sample.lesson != ANCHOR]
    informed_init(stepper, lessons, [sample for sample in job.samples if sample.lesson == ANCHOR])
    starts = {name: p.detach() for name, p in model.named_parameters() if "lora_A" in name}
    for name, first in starts.items():
        part = model.get_submodule(name.partition(".lora_A")[0])
        assert first.shape[0] == min(part.in_features, part.out_features)
        assert float(first.abs().max()) < 100, name


def test_without_anchors_the_initialization_stays_random(tiny: Path, tmp_path: Path) -> None:
    job = make_job(tiny, tmp_path)
    model = with_adapter(job, {}, "cpu")
    before = [p.clone() for p in model.parameters()]
    informed_init(Stepper(model, job.recipe, "cpu", lambda part: None), job.samples[:2], [])
    assert all(torch.equal(x, y) for x, y in zip(before, model.parameters(), strict=True))
