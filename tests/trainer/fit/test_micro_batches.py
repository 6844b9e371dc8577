"""Samples are divided into micro-batches, which become smaller while memory runs out."""

from __future__ import annotations

import pytest
import torch

from trainer.fit.batch import length
from trainer.fit.job import Sample
from trainer.fit.micro_batches import MICRO_BATCH_TOKENS, MicroBatches

SAMPLES = [Sample(tuple(range(n, n + 300)), 200, n) for n in range(0, 4000, 400)]


def test_every_sample_is_in_one_micro_batch_of_limited_size() -> None:
    found = MicroBatches(torch.nn.Linear(1, 1), "cpu", lambda size: None)
    groups = list(found.with_gradients(SAMPLES))
    assert [sample for group in groups for sample in group] == SAMPLES
    assert all(sum(map(length, group)) <= MICRO_BATCH_TOKENS["cpu"] for group in groups)
    found.size = 1
    assert [len(group) for group in found.with_gradients(SAMPLES)] == [1] * len(SAMPLES)
    assert [len(group) for group in found.without_gradients(SAMPLES)] == list(map(len, groups))


def test_work_is_repeated_with_halved_micro_batches_until_it_fits() -> None:
    halved: list[int] = []
    found = MicroBatches(torch.nn.Linear(1, 1), "cpu", halved.append)

    def work() -> str:
        if found.size > 400:
            raise RuntimeError("not enough memory: you tried to allocate 1 byte")
        return "done"

    assert found.retry_smaller(work, SAMPLES) == "done"
    assert halved == [512, length(SAMPLES[0])]


def test_a_sample_that_does_not_fit_and_other_errors_end_the_work() -> None:
    found = MicroBatches(torch.nn.Linear(1, 1), "cpu", lambda size: None)

    def fail(error: Exception) -> None:
        raise error

    with pytest.raises(MemoryError, match="on a single sample of 299 tokens"):
        found.retry_smaller(lambda: fail(MemoryError()), SAMPLES)
    with pytest.raises(RuntimeError, match="shapes"):
        found.retry_smaller(lambda: fail(RuntimeError("shapes differ")), SAMPLES)
