"""The terms of the training loss.

    L = CE(chosen) + λ_p · −log σ(β (Δ_chosen − Δ_rejected)) + λ_a · KL_topk(π_0 ‖ π_θ)
        + λ_h · ‖h_θ − h_0‖² / ‖h_0‖²

where Δ = log π_θ(y|x) − log π_0(y|x), θ is the adapted model and 0 the base. The last two terms are
computed on anchors, and h is the last hidden state of each of their tokens. Every function is pure and
takes the reply positions only: N positions of B sequences, flattened, with `owner` as the sequence of
each position. The terms are means over sequences, pairs and positions; `share` is the divisor, passed
in so that a step computed in parts equals the step computed at once.
Sources: Direct Preference Optimization (arXiv 2305.18290); hidden states as hints (FitNets, arXiv
1412.6550).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-6
"""Least mass of the tail bucket, and least denominator, to keep the terms finite."""


def token_log_probabilities(logits: Tensor, targets: Tensor) -> Tensor:
    """Return ln p of each target, shape [N], from logits [N, V] and token ids [N]."""
    chosen = logits.gather(-1, targets[:, None]).squeeze(-1)
    return chosen - logits.logsumexp(-1)


def sequence_sums(values: Tensor, owner: Tensor, count: int) -> Tensor:
    """Sum values [N] by their owner; return [count]."""
    return values.new_zeros(count).index_add(0, owner, values)


def cross_entropy(
    log_probabilities: Tensor, owner: Tensor, weights: Tensor, share: float | None = None
) -> Tensor:
    """Return the weighted mean over sequences of their mean −ln p per token.

    `log_probabilities` and `owner` are [N]; `weights` is [B]. `share` replaces the sum of the weights.
    """
    count = len(weights)
    lengths = sequence_sums(log_probabilities.new_ones(len(owner)), owner, count)
    means = -sequence_sums(log_probabilities, owner, count) / lengths.clamp_min(1)
    return (means * weights).sum() / (weights.sum() if share is None else share)


def preference(chosen: Tensor, rejected: Tensor, beta: float, share: float | None = None) -> Tensor:
    """Return the mean of −ln σ(β (Δ_chosen − Δ_rejected)) over pairs; both are Δ, shape [P].

    If a span is marked, each Δ sums over the tokens of the span only. `share` replaces P.
    """
    from torch.nn.functional import logsigmoid

    losses = -logsigmoid(beta * (chosen - rejected))
    return losses.sum() / (len(losses) if share is None else share)


def top_k_kl(
    logits: Tensor, ids: Tensor, log_probabilities: Tensor, share: float | None = None
) -> Tensor:
    """Return the mean KL(π_0 ‖ π_θ) per position in nats, with one bucket for tokens outside the top k.

    `logits` [N, V] are those of θ; `ids` and `log_probabilities` [N, K] are the base's k most likely
    tokens. The bucket can only lower the divergence, so this is a lower bound. `share` replaces N.
    """
    found = top_k_divergence(logits, ids, log_probabilities)
    return found.sum() / (len(found) if share is None else share)


def top_k_divergence(logits: Tensor, ids: Tensor, log_probabilities: Tensor) -> Tensor:
    """Return the divergence of `top_k_kl` at each position, [N]."""
    ours = logits.gather(-1, ids) - logits.logsumexp(-1, keepdim=True)
    base = log_probabilities.exp()
    base_tail = (1 - base.sum(-1)).clamp_min(EPSILON)
    our_tail = (1 - ours.exp().sum(-1)).clamp_min(EPSILON)
    top = (base * (log_probabilities - ours)).sum(-1)
    return top + base_tail * (base_tail.log() - our_tail.log())


def hidden_drift(hidden: Tensor, base: Tensor) -> Tensor:
    """Return the squared distance of hidden states [T, d] from the base's, relative to their length.

    The result is [T]: 0 if nothing changed, 1 if the distance equals the length of the base's.
    """
    base = base.to(hidden.dtype)
    return ((hidden - base) ** 2).sum(-1) / (base**2).sum(-1).clamp_min(EPSILON)


def leads(logits: Tensor, targets: Tensor) -> Tensor:
    """Return how far each target is ahead of the best other token, [N], in nats."""
    best, where = logits.topk(2, dim=-1)
    other = best[:, 0].where(where[:, 0] != targets, best[:, 1])
    return logits.gather(-1, targets[:, None]).squeeze(-1) - other


def margins(leads: Tensor, owner: Tensor, count: int) -> Tensor:
    """Return the smallest lead [N] of each sequence, [count].

    Above 0, greedy decoding gives the reply. Sequences without positions get +inf.
    """
    worst = leads.new_full((count,), float("inf"))
    return worst.scatter_reduce(0, owner, leads, "amin")
