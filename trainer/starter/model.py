"""The starter's network: Qwen3 in plain torch, initialised with induction heads that copy.

Two layers start with hand-set weights. Heads of the first attend exactly one and two positions back
and write the tokens they find into reserved dimensions; heads of the second attend to the position
whose predecessors match the current tokens and pass on what follows (an induction circuit). The
network thus continues repeated sequences before any training, even of unknown words, and training
only has to learn when to copy. These weights are trained like all others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class StarterShape:
    """Sizes of the network; `head` times `heads` may differ from the width."""

    vocabulary: int
    width: int = 256
    layers: int = 4
    heads: int = 4
    head: int = 64
    hidden: int = 640
    context: int = 512
    theta: float = 1e6
    epsilon: float = 1e-6


class StarterBlock(nn.Module):
    """One layer: attention with normalised queries and keys, then a gated MLP."""

    def __init__(self, shape: StarterShape) -> None:
        super().__init__()
        wide = shape.heads * shape.head
        self.shape = shape
        self.attn_norm = nn.Parameter(torch.ones(shape.width))
        self.attn_q = nn.Linear(shape.width, wide, bias=False)
        self.attn_k = nn.Linear(shape.width, wide, bias=False)
        self.attn_v = nn.Linear(shape.width, wide, bias=False)
        self.attn_output = nn.Linear(wide, shape.width, bias=False)
        self.attn_q_norm = nn.Parameter(torch.ones(shape.head))
        self.attn_k_norm = nn.Parameter(torch.ones(shape.head))
        self.ffn_norm = nn.Parameter(torch.ones(shape.width))
        self.ffn_gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: (rows, length, width)."""
        shape = self.shape
        rows, length, _ = x.shape
        seen = norm(x, self.attn_norm, shape.epsilon)
        split = (rows, length, shape.heads, shape.head)
        q = norm(self.attn_q(seen).view(split), self.attn_q_norm, shape.epsilon)
        k = norm(self.attn_k(seen).view(split), self.attn_k_norm, shape.epsilon)
        v = self.attn_v(seen).view(split).transpose(1, 2)
        q, k = turned(q.transpose(1, 2), cos, sin), turned(k.transpose(1, 2), cos, sin)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_output(mixed.transpose(1, 2).reshape(rows, length, -1))
        seen = norm(x, self.ffn_norm, shape.epsilon)
        out: Tensor = self.ffn_down(functional.silu(self.ffn_gate(seen)) * self.ffn_up(seen))
        return x + out


def norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Root mean square normalisation over the last dimension."""
    return functional.rms_norm(x, weight.shape, weight.to(x.dtype), epsilon)


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate by position; pair p is the dimensions p and p + head/2, as in Qwen."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)


class Starter(nn.Module):
    """The network; its output layer shares the weights of the embedding."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: StarterShape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(StarterBlock(shape) for _ in range(shape.layers))
        self.output_norm = nn.Parameter(torch.ones(shape.width))
        place = torch.arange(shape.context, dtype=torch.float32)[:, None] * speeds(shape)[None]
        self.register_buffer("cos", place.cos(), persistent=False)
        self.register_buffer("sin", place.sin(), persistent=False)

    def layer(self, index: int) -> StarterBlock:
        """Return one layer."""
        return cast(StarterBlock, self.blk[index])

    def forward(self, tokens: Tensor, at: Tensor | None = None) -> Tensor:
        """Return the logits of `tokens` (rows, length).

        They are those of all positions, or of the flat indices `at`.
        """
        length = tokens.shape[1]
        x = self.token_embd(tokens)
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.bfloat16)
        cos, sin = self.cos[:length].to(x.dtype), self.sin[:length].to(x.dtype)
        for block in self.blk:
            x = block(x, cos, sin)
        if at is not None:
            x = x.flatten(0, 1)[at]
        x = norm(x, self.output_norm, self.shape.epsilon)
        return functional.linear(x, self.token_embd.weight)


def speeds(shape: StarterShape) -> Tensor:
    """Return the radians per position of each rotary pair."""
    pairs = torch.arange(shape.head // 2, dtype=torch.float32)
    return torch.tensor(shape.theta) ** (-pairs / (shape.head // 2))


def create(shape: StarterShape, tokens: list[str], seed: int) -> Starter:
    """Return a network with initial weights, including the copying heads."""
    generator = torch.Generator().manual_seed(seed)
    model = Starter(shape)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 2:
                scale = 0.02 if "output" not in name and "down" not in name else 0.02 / shape.layers
                weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
        _wire(model, tokens, generator)
    return model


_SIGMA = 0.05  # standard deviation of the embedding
_BACK, _BACK2 = 64, 32  # reserved dimensions for the tokens one and two positions back


def _wire(model: Starter, tokens: list[str], generator: torch.Generator) -> None:
    """Set the copying heads; dimension 0 is constant, then the reserved ones, then identities."""
    shape = model.shape
    start = 1 + _BACK + _BACK2
    free = shape.width - start
    embedding = model.token_embd.weight
    embedding.zero_()
    embedding[:, 0] = 2 * _SIGMA
    embedding[:, start:] = _identities(tokens, free, generator) * _SIGMA
    basis = torch.linalg.qr(torch.randn(free, free, generator=generator))[0]

    first, second = model.layer(0), model.layer(1)
    head, half = shape.head, shape.head // 2
    for place, (width, into) in enumerate(((_BACK, 1), (_BACK2, 1 + _BACK))):
        rows = slice(place * head, (place + 1) * head)
        _look_back(first, rows, place + 1, speeds(shape))
        first.attn_v.weight[rows] = 0
        first.attn_v.weight[rows, start:] = basis[:head]
        first.attn_output.weight[:, rows] = 0
        for index in range(width):
            first.attn_output.weight[into + index, place * head + index] = _SIGMA
    first.attn_q_norm[:] = first.attn_k_norm[:] = 2.0

    # The slowest pairs hardly rotate within the context, so equal tokens stay equal there.
    slow = [*range(half - 18, half), *range(head - 18, head)]
    for number, bigram in ((1, 36), (2, 20), (3, 20)):
        rows = slice(number * head, (number + 1) * head)
        for weight in (second.attn_q.weight, second.attn_k.weight, second.attn_v.weight):
            weight[rows] = 0
        for index, at in enumerate(slow):
            row = number * head + at
            if index < bigram:
                second.attn_q.weight[row, start:] = basis[index]
                second.attn_k.weight[row, 1 + index] = 1.0
            else:
                second.attn_q.weight[row, 1 + index - bigram] = 1.0
                second.attn_k.weight[row, 1 + _BACK + index - bigram] = 1.0
        part = basis[(number - 1) * head : number * head]
        second.attn_v.weight[number * head : number * head + len(part), start:] = part
        second.attn_output.weight[:, rows] = 0
        second.attn_output.weight[start:, number * head : number * head + len(part)] = (
            part.T * 4 * _SIGMA
        )
    second.attn_q_norm[:] = second.attn_k_norm[:] = 2.4


def _look_back(block: StarterBlock, rows: slice, distance: int, omega: Tensor) -> None:
    """Make a head attend `distance` positions back, whatever the token is."""
    half = len(omega)
    shares = torch.zeros(half)
    shares[:6] = torch.tensor([0.34, 0.24, 0.16, 0.11, 0.08, 0.07])
    q = torch.zeros(2 * half)
    k = torch.zeros(2 * half)
    q[:half] = shares.sqrt()
    k[:half] = shares.sqrt() * torch.cos(omega * distance)
    k[half:] = shares.sqrt() * torch.sin(omega * distance)
    for weight, vector in ((block.attn_q.weight, q), (block.attn_k.weight, k)):
        weight[rows] = 0
        weight[rows, 0] = vector


def _identities(tokens: list[str], width: int, generator: torch.Generator) -> Tensor:
    """Return random directions, close for tokens that differ only in case or a leading space."""
    own = torch.randn(len(tokens), width, generator=generator)
    roots: dict[str, Tensor] = {}
    for index, token in enumerate(tokens):
        key = _folded(token)
        shared = roots.setdefault(key, torch.randn(width, generator=generator))
        own[index] = math.sqrt(0.65) * shared + math.sqrt(0.35) * own[index]
    return own


def _folded(token: str) -> str:
    from tokenizers import decoders

    text = decoders.ByteLevel().decode([token])
    return token if "\ufffd" in text else (text.lower().strip() or token)
