"""Pack samples into the tensors of one forward pass, with little padding and each prompt once.

A row holds several samples. Each attends only to itself, with positions counted from its own start. The
chosen and the rejected reply of a pair follow their common prompt; the rejected one attends only to the
prompt and itself, at the positions it would have alone. The last token of a reply is predicted but
never an input. Needs only torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer.fit.job import Sample

if TYPE_CHECKING:
    from torch import Tensor

ROW = 128
"""Tokens of a row, unless a sample is longer. Attention costs the square of a row's length, and shorter
rows need more padding."""
CHOSEN, REJECTED = 0, 1


@dataclass(frozen=True, slots=True)
class Batch:
    """R rows of L tokens, and the N positions in them that predict tokens of a reply.

    `tokens` and `positions` are [R, L]; `mask` [R, 1, L, L] is true where a token (third axis) may
    attend to another (fourth). `rows` and `columns` [N] are the predicting positions, `targets` [N] the
    tokens to predict, `owner` [N] the number of the sample, `side` [N] CHOSEN or REJECTED, and `offset`
    [N] counts from the first token of the reply. Positions of one reply are in order. `segments` [R, L]
    is the number of the sample that a token belongs to, -1 for padding.
    """

    tokens: Tensor
    positions: Tensor
    mask: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    owner: Tensor
    side: Tensor
    offset: Tensor
    segments: Tensor
    computed: int
    """Number of tokens without padding."""


def length(sample: Sample) -> int:
    """Return the number of input tokens of a sample."""
    replies = len(sample.tokens) - 1
    return replies + max(0, len(sample.rejected) - sample.prompt - 1)


def make_batch(samples: Sequence[Sample], device: str, *, row: int = ROW) -> Batch:
    """Pack `samples` (each with a prompt and at least one reply token) into rows of `row` tokens."""
    import torch

    lengths = [length(sample) for sample in samples]
    room = max(row, *lengths)
    rows: list[list[int]] = []
    left: list[int] = []
    # First-fit decreasing: the longest first, each into the first row with room.
    for index in sorted(range(len(samples)), key=lambda number: -lengths[number]):
        place = next((at for at, free in enumerate(left) if free >= lengths[index]), len(rows))
        if place == len(rows):
            rows.append([])
            left.append(room)
        rows[place].append(index)
        left[place] -= lengths[index]
    width = room - min(left)
    tokens, positions, segments, branches = (
        [[fill] * width for _ in rows] for fill in (0, 0, -1, 0)
    )
    found: list[tuple[int, int, int, int, int, int]] = []
    for at, members in enumerate(rows):
        start = 0
        for index in members:
            sample = samples[index]
            prompt = sample.prompt
            line = [*sample.tokens[:-1], *sample.rejected[prompt:-1]]
            end = start + len(line)
            first, second = len(sample.tokens) - 1, len(line) - len(sample.tokens) + 1
            tokens[at][start:end] = line
            positions[at][start:end] = [*range(first), *range(prompt, prompt + second)]
            segments[at][start:end] = [index] * len(line)
            branches[at][start:end] = [0] * prompt + [1] * (first - prompt) + [2] * second
            for side, reply in ((CHOSEN, sample.tokens), (REJECTED, sample.rejected)):
                # The last token of the prompt predicts the first token of both replies.
                shift = start + (prompt - 1 if side == CHOSEN else first - 1)
                for offset, target in enumerate(reply[prompt:]):
                    column = shift + offset if offset else start + prompt - 1
                    found.append((at, column, target, index, side, offset))
            start = end
    segment, branch = (torch.tensor(values, device=device) for values in (segments, branches))
    same = segment[:, :, None] == segment[:, None, :]
    sees = (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])
    at_row, at_column, target, owner, side, offset = torch.tensor(found, device=device).T
    causal = torch.ones(width, width, dtype=torch.bool, device=device).tril()
    return Batch(
        torch.tensor(tokens, device=device),
        torch.tensor(positions, device=device),
        (same & sees & causal)[:, None],
        at_row,
        at_column,
        target,
        owner,
        side,
        offset,
        segment,
        computed=sum(lengths),
    )


def reply_logits(model: Any, hidden: Tensor) -> Tensor:
    """Return the logits [N, V] of last hidden states [N, d], in float32 (float64 stays)."""
    import torch

    logits: Tensor = _causal(model).lm_head(hidden)
    return logits if logits.dtype == torch.float64 else logits.float()


def inner_model(model: Any) -> Any:
    """Return the layers of a causal model with their embedding and norm, without its head."""
    return _causal(model).model


def _causal(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model
