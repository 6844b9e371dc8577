"""Each term of the loss equals its explicit definition, and its gradient the finite differences."""

from __future__ import annotations

import math

import pytest
import torch

from trainer.fit import loss


@pytest.fixture
def logits() -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randn(5, 11, dtype=torch.float64)


OWNER = torch.tensor([0, 0, 1, 1, 1])
TARGETS = torch.tensor([4, 0, 10, 2, 2])


def test_cross_entropy_is_the_weighted_mean_of_each_replys_mean(logits: torch.Tensor) -> None:
    weights = torch.tensor([1.0, 0.5], dtype=torch.float64)
    logs = loss.token_log_probabilities(logits, TARGETS)
    plain = []
    for row, target in zip(logits.tolist(), TARGETS.tolist(), strict=True):
        plain.append(row[target] - math.log(sum(math.exp(value) for value in row)))
    expected = (-sum(plain[:2]) / 2 * 1.0 - sum(plain[2:]) / 3 * 0.5) / 1.5
    assert loss.cross_entropy(logs, OWNER, weights).item() == pytest.approx(expected)


def test_the_preference_loss_is_ln_2_without_a_margin_and_falls_with_it() -> None:
    zero, lead = torch.zeros(2), torch.tensor([3.0, 3.0])
    assert loss.preference(zero, zero, 0.1).item() == pytest.approx(math.log(2))
    expected = -math.log(1 / (1 + math.exp(-0.1 * 3)))
    assert loss.preference(lead, zero, 0.1).item() == pytest.approx(expected)


def test_kl_over_all_tokens_is_the_full_divergence_and_zero_for_equal_logits(
    logits: torch.Tensor,
) -> None:
    base = torch.randn_like(logits).log_softmax(-1)
    ids = torch.arange(11).expand(5, 11)
    ours = logits.log_softmax(-1)
    expected = (base.exp() * (base - ours)).sum(-1).mean().item()
    assert loss.top_k_kl(logits, ids, base).item() == pytest.approx(expected, abs=1e-5)
    assert loss.top_k_kl(logits, ids, ours).item() == pytest.approx(0, abs=1e-6)


def test_kl_with_a_tail_bucket_equals_the_explicit_sum(logits: torch.Tensor) -> None:
    base, ids = torch.randn_like(logits).log_softmax(-1).topk(3)
    ours = logits.log_softmax(-1)
    total = 0.0
    for row in range(5):
        p = [math.exp(value) for value in base[row].tolist()]
        q = [math.exp(ours[row, token].item()) for token in ids[row].tolist()]
        p, q = [*p, 1 - sum(p)], [*q, 1 - sum(q)]
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / 5
    assert loss.top_k_kl(logits, ids, base).item() == pytest.approx(total)


def test_the_gradients_equal_finite_differences(logits: torch.Tensor) -> None:
    base, ids = torch.randn_like(logits).log_softmax(-1).topk(3)
    weights = torch.ones(2, dtype=torch.float64)

    def whole(values: torch.Tensor) -> torch.Tensor:
        logs = loss.token_log_probabilities(values, TARGETS)
        sums = loss.sequence_sums(logs, OWNER, 2)
        return (
            loss.cross_entropy(logs, OWNER, weights)
            + loss.preference(sums[:1], sums[1:], 0.1)
            + loss.top_k_kl(values, ids, base)
        )

    assert torch.autograd.gradcheck(whole, (logits.clone().requires_grad_(),))


def test_loss_terms_computed_in_parts_add_up(logits: torch.Tensor) -> None:
    weights = torch.tensor([1.0, 0.5], dtype=torch.float64)
    logs = loss.token_log_probabilities(logits, TARGETS)
    whole = loss.cross_entropy(logs, OWNER, weights)
    parts = [
        loss.cross_entropy(
            logs[i == OWNER], OWNER[i == OWNER], weights * (torch.arange(2) == i), 1.5
        )
        for i in range(2)
    ]
    assert torch.stack(parts).sum().item() == pytest.approx(whole.item())
    base, ids = torch.randn_like(logits).log_softmax(-1).topk(3)
    kl = loss.top_k_kl(logits, ids, base)
    halves = [loss.top_k_kl(logits[p], ids[p], base[p], 5) for p in (slice(2), slice(2, 5))]
    assert torch.stack(halves).sum().item() == pytest.approx(kl.item())


def test_a_margin_is_the_least_lead_over_the_best_other_token(logits: torch.Tensor) -> None:
    found = loss.margins(loss.leads(logits, TARGETS), OWNER, 3).tolist()
    leads = []
    for row, target in zip(logits.tolist(), TARGETS.tolist(), strict=True):
        leads.append(row[target] - max(v for i, v in enumerate(row) if i != target))
    assert found[:2] == pytest.approx([min(leads[:2]), min(leads[2:])])
    assert found[2] == math.inf


def test_hidden_drift_is_the_squared_distance_over_the_squared_length() -> None:
    base = torch.tensor([[3.0, 4.0], [1.0, 0.0]], dtype=torch.float64)
    moved = torch.tensor([[3.0, 9.0], [1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    found = loss.hidden_drift(moved, base)
    assert found.tolist() == [1.0, 0.0]
    assert torch.autograd.gradcheck(lambda x: loss.hidden_drift(x, base + 0.5), (moved,))
