"""Packing changes nothing: every reply is predicted as if it were alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from tests.support.architectures import SMALL, write_like
from trainer.fit.batch import (
    CHOSEN,
    REJECTED,
    attention_masks,
    carries_state,
    inner_model,
    length,
    make_batch,
    reply_logits,
)
from trainer.fit.job import ANCHOR, Sample
from trainer.fit.model.base_model import load_base

SAMPLES = [
    Sample(tuple(b"Who?Lutz."), 4, 0, rejected=tuple(b"Who?No.")),
    Sample(tuple(b"a quite long question, and a short reply"), 36, ANCHOR),
    Sample(tuple(b"xy"), 1, 1, rejected=tuple(b"xqqqq")),
    Sample(tuple(b"Sky?blue"), 4, ANCHOR),
    Sample(tuple(b"Who?Lucy."), 4, 2, rejected=tuple(b"Who?Lu.")),
    Sample(tuple(b"Who is it?"), 9, ANCHOR),
]


@pytest.mark.parametrize("row", [1, 16, 64, 512])
def test_packed_replies_have_the_logits_of_single_ones(tiny: Path, row: int) -> None:
    check(load_base(tiny), row)


@pytest.mark.parametrize("architecture", ["gemma3", "qwen35"])
@pytest.mark.parametrize("row", [1, 512])
def test_packing_works_with_sliding_windows_and_recurrent_layers(
    tmp_path: Path, architecture: str, row: int
) -> None:
    """The window is shorter than the longest sample; a recurrent layer knows no attention mask."""
    check(load_base(write_like(tmp_path / "m.gguf", SMALL[architecture])), row)


def check(base: PreTrainedModel, row: int) -> None:
    inner = inner_model(base)
    batch = make_batch(SAMPLES, "cpu", row=row, apart=carries_state(inner))
    with torch.inference_mode():
        hidden = inner(
            input_ids=batch.tokens,
            position_ids=batch.positions,
            attention_mask=attention_masks(inner, batch),
            use_cache=False,
        ).last_hidden_state
        packed = reply_logits(base, hidden[batch.rows, batch.columns])
        for number, sample in enumerate(SAMPLES):
            for side, tokens in ((CHOSEN, sample.tokens), (REJECTED, sample.rejected)):
                if not tokens:
                    continue
                mine = (batch.owner == number) & (batch.side == side)
                alone = base(torch.tensor([tokens])).logits[0, sample.prompt - 1 : -1]
                assert batch.targets[mine].tolist() == list(tokens[sample.prompt :])
                assert batch.offset[mine].tolist() == list(range(len(tokens) - sample.prompt))
                assert torch.allclose(packed[mine], alone, atol=1e-4)


def test_the_prompt_is_computed_once_for_both_replies_without_their_last_token() -> None:
    assert length(SAMPLES[0]) == 4 + (5 - 1) + (3 - 1)
    assert make_batch(SAMPLES[:1], "cpu").computed == length(SAMPLES[0])


def test_samples_in_a_row_share_what_they_begin_with() -> None:
    alone = sum(length(sample) for sample in SAMPLES)
    shared = len("Who?Lu") + len("Who")  # of the fifth sample with the first, and of the sixth
    inside = len("Lu")  # its own replies begin alike
    assert make_batch(SAMPLES, "cpu", row=512).computed == alone - shared - inside
    assert sum(make_batch([one], "cpu").computed for one in SAMPLES) == alone - inside


def test_every_input_token_is_found_at_its_place_once_per_sample() -> None:
    batch = make_batch(SAMPLES, "cpu", row=64)
    flat = batch.tokens.flatten()
    for number, sample in enumerate(SAMPLES):
        found = bytes(flat[batch.inputs[batch.input_owner == number]].tolist())
        rejected = sample.rejected[sample.prompt : -1]
        same = 2 if number == 4 else 0
        assert found == bytes((*sample.tokens[:-1], *rejected[same:]))


def test_rows_stay_within_the_length_unless_one_sample_exceeds_it() -> None:
    assert make_batch(SAMPLES, "cpu", row=48).tokens.shape[1] <= 48
    assert make_batch(SAMPLES, "cpu", row=8).tokens.shape[1] == 39


def test_the_length_of_a_row_can_be_a_multiple() -> None:
    batch = make_batch(SAMPLES, "cpu", row=64, multiple=50)
    assert batch.tokens.shape[1] == 100
    assert batch.computed == make_batch(SAMPLES, "cpu", row=64).computed
    assert batch.mask.any(dim=-1).all()  # padding sees itself, so no softmax is empty
