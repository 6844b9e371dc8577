"""Pack samples into the tensors of one forward pass, with little padding and each prompt once.

A row holds several samples. Each attends only to itself, with positions counted from its own start. The
chosen and the rejected reply of a pair follow their common prompt; the rejected one attends only to the
prompt and itself, at the positions it would have alone. The last token of a reply is predicted but
never an input. Needs only torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.llama.gguf.model_shape import FULL, RECURRENT, WINDOW
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


def make_batch(
    samples: Sequence[Sample], device: str, *, row: int = ROW, apart: bool = False
) -> Batch:
    """Pack `samples` (each with a prompt and at least one reply token) into rows of `row` tokens.

    With `apart`, each reply has its own row, after its prompt; see `carries_state`.
    """
    import torch

    lines = [line for index, sample in enumerate(samples) for line in _lines(index, sample, apart)]
    rows = [[line] for line in lines] if apart else _packed(lines, row)
    width = max(sum(len(line.tokens) for line in members) for members in rows)
    tokens, positions, segments, branches = (
        [[fill] * width for _ in rows] for fill in (0, 0, -1, 0)
    )
    found: list[tuple[int, int, int, int, int, int]] = []
    for at, members in enumerate(rows):
        start = 0
        for line in members:
            end = start + len(line.tokens)
            tokens[at][start:end] = line.tokens
            positions[at][start:end] = line.positions
            segments[at][start:end] = [line.index] * len(line.tokens)
            branches[at][start:end] = line.branches
            found += [
                (at, start + column, target, index, side, offset)
                for column, target, index, side, offset in line.predicted
            ]
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
        computed=sum(len(line.tokens) for line in lines),
    )


@dataclass(frozen=True, slots=True)
class _Line:
    """A prompt and its replies. `predicted`: column, target, sample, side, offset in the reply."""

    index: int
    tokens: list[int]
    positions: list[int]
    branches: list[int]
    predicted: list[tuple[int, int, int, int, int]]


def _lines(index: int, sample: Sample, apart: bool) -> Iterator[_Line]:
    prompt, replies = sample.prompt, (sample.tokens, sample.rejected)
    if apart:
        for side, reply in enumerate(replies):
            if reply:
                tokens = [*reply[:-1]]
                predicted = _predicted(index, side, reply, prompt, prompt - 1)
                yield _Line(index, tokens, [*range(len(tokens))], [0] * len(tokens), [*predicted])
        return
    tokens = [*sample.tokens[:-1], *sample.rejected[prompt:-1]]
    first = len(sample.tokens) - 1
    second = len(tokens) - first
    yield _Line(
        index,
        tokens,
        [*range(first), *range(prompt, prompt + second)],
        [0] * prompt + [1] * (first - prompt) + [2] * second,
        [
            *_predicted(index, CHOSEN, sample.tokens, prompt, prompt - 1),
            *_predicted(index, REJECTED, sample.rejected, prompt, first - 1),
        ],
    )


def _predicted(
    index: int, side: int, reply: Sequence[int], prompt: int, shift: int
) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield the positions that predict a reply; those after the first are at `shift` + offset."""
    for offset, target in enumerate(reply[prompt:]):
        # The last token of the prompt predicts the first token of both replies.
        yield (shift + offset if offset else prompt - 1), target, index, side, offset


def _packed(lines: Sequence[_Line], row: int) -> list[list[_Line]]:
    """Pack lines into rows, first-fit decreasing: the longest first, each into the first that fits."""
    room = max(row, *(len(line.tokens) for line in lines))
    rows: list[list[_Line]] = []
    left: list[int] = []
    for line in sorted(lines, key=lambda line: -len(line.tokens)):
        size = len(line.tokens)
        place = next((at for at, free in enumerate(left) if free >= size), len(rows))
        if place == len(rows):
            rows.append([])
            left.append(room)
        rows[place].append(line)
        left[place] -= size
    return rows


def carries_state(model: Any) -> bool:
    """Whether a model has recurrent layers.

    These have no attention mask, so samples that share a row would not be separate.
    """
    return RECURRENT in _kinds(model)


def attention_masks(model: Any, batch: Batch) -> Any:
    """Return the attention mask of a batch: one for all layers, or one per kind of layer."""
    kinds = _kinds(model)
    if kinds <= {FULL}:
        return batch.mask
    masks = {FULL: batch.mask, RECURRENT: None}
    if WINDOW in kinds:
        at = batch.positions
        near = at[:, :, None] - at[:, None, :] < model.config.sliding_window
        masks[WINDOW] = batch.mask & near[:, None]
    return masks


def _kinds(model: Any) -> set[str]:
    return set(getattr(model.config, "layer_types", None) or ())


def reply_logits(model: Any, hidden: Tensor) -> Tensor:
    """Return the logits [N, V] of last hidden states [N, d], in float32 (float64 stays).

    The product has the precision of the head's weights.
    """
    import torch

    head = _causal(model).lm_head
    logits: Tensor = head(hidden.to(head.weight.dtype))
    return logits if logits.dtype == torch.float64 else logits.float()


def inner_model(model: Any) -> Any:
    """Return the layers of a causal model with their embedding and norm, without its head."""
    return _causal(model).model


def _causal(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model
