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
    batch = make_batch(SAMPLES, "cpu", row=64)
    assert batch.computed == sum(length(sample) for sample in SAMPLES)


def test_rows_stay_within_the_length_unless_one_sample_exceeds_it() -> None:
    assert make_batch(SAMPLES, "cpu", row=48).tokens.shape[1] <= 48
    assert make_batch(SAMPLES, "cpu", row=8).tokens.shape[1] == 39
