"""Pack samples into the tensors of one forward pass, with little padding and each prefix once.

A row holds several samples as a tree of tokens: sequences that begin alike (with the same system prompt
or recalled block, or the two replies of a pair) share the tokens up to where they part. Each token
attends only to those on the way to it, at the position that it would have alone, so sharing changes no
result. The last token of a reply is predicted but never an input. Needs only torch and numpy.

Related: token trees in speculative decoding (SpecInfer, arXiv 2305.09781).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.llama.gguf.model_shape import FULL, RECURRENT, WINDOW
from trainer.fit.job import Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

ROW = 128
"""Tokens of a row, unless a sample is longer. Attention costs the square of a row's length, and shorter
rows share less and need more padding."""
CHOSEN, REJECTED = 0, 1


@dataclass(frozen=True, slots=True)
class Batch:
    """R rows of L tokens, and the N positions in them that predict tokens of a reply.

    `tokens` and `positions` are [R, L]; `mask` [R, 1, L, L] is true where a token (third axis) may
    attend to another (fourth). `rows` and `columns` [N] are the predicting positions, `targets` [N] the
    tokens to predict, `owner` [N] the number of the sample, `side` [N] CHOSEN or REJECTED, and `offset`
    [N] counts from the first token of the reply. Positions of one reply are in order. `inputs` [T] are
    the places (row · L + column) of the input tokens of each sample, sample after sample, and
    `input_owner` [T] is its number; a shared token occurs once for each sample.
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
    inputs: Tensor
    input_owner: Tensor
    computed: int
    """Number of tokens without padding."""


@dataclass(slots=True)
class TokenTree:
    """Sequences of tokens that share their common prefixes."""

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    """The place of the token before each token, -1 for the first of a sequence."""
    depths: list[int] = field(default_factory=list)
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, sequence: Sequence[int]) -> list[int]:
        """Add a sequence; return the places of its tokens."""
        path: list[int] = []
        at = -1
        for token in sequence:
            place = self._children.setdefault((at, token), len(self.tokens))
            if place == len(self.tokens):
                self.tokens.append(token)
                self.parents.append(at)
                self.depths.append(len(path))
            path.append(place)
            at = place
        return path

    def shared(self, sequence: Sequence[int]) -> int:
        """Return how many tokens at the start of `sequence` the tree has already."""
        at = -1
        for count, token in enumerate(sequence):
            place = self._children.get((at, token))
            if place is None:
                return count
            at = place
        return len(sequence)

    def room_for(self, sample: Sample) -> int:
        """Return how many tokens `add_sample` would add at most."""
        return length(sample) - self.shared(sample.tokens[:-1])

    def add_sample(self, sample: Sample) -> dict[int, list[int]]:
        """Add the replies of a sample; return the places of the input tokens of each side."""
        return {side: self.add(tokens[:-1]) for side, tokens in _replies(sample)}

    def mask(self, width: int) -> NDArray[np.bool_]:
        """Return [width, width]: true where a token is another or on the way to it.

        Places without a token see only themselves.
        """
        found = np.eye(width, dtype=np.bool_)
        for place, parent in enumerate(self.parents):
            if parent >= 0:
                found[place] |= found[parent]
        return found


def length(sample: Sample) -> int:
    """Return the number of input tokens of a sample."""
    replies = len(sample.tokens) - 1
    return replies + max(0, len(sample.rejected) - sample.prompt - 1)


def make_batch(
    samples: Sequence[Sample],
    device: str,
    *,
    row: int = ROW,
    apart: bool = False,
    multiple: int = 1,
) -> Batch:
    """Pack `samples` (each with a prompt and at least one reply token) into rows of `row` tokens.

    With `apart`, each reply has its own row, after its prompt; see `carries_state`. L is a multiple of
    `multiple`.
    """
    import torch

    trees, paths = _in_own_rows(samples) if apart else _packed(samples, row)
    width = -(-max(len(tree.tokens) for tree in trees) // multiple) * multiple
    tokens, positions = np.zeros((2, len(trees), width), dtype=np.int64)
    for at, tree in enumerate(trees):
        tokens[at, : len(tree.tokens)] = tree.tokens
        positions[at, : len(tree.tokens)] = tree.depths
    inputs: list[tuple[int, int]] = []
    predicted: list[tuple[int, int, int, int, int, int]] = []
    for index, sample in enumerate(samples):
        places: dict[int, None] = {}
        for side, sequence in _replies(sample):
            at, path = paths[index][side]
            places |= dict.fromkeys(at * width + place for place in path)
            predicted += [
                (at, path[sample.prompt - 1 + offset], target, index, side, offset)
                for offset, target in enumerate(sequence[sample.prompt :])
            ]
        inputs += [(place, index) for place in places]
    rows, columns, target, owner, side_of, offset_of = torch.tensor(predicted, device=device).T
    places_of, input_owner = torch.tensor(inputs, device=device).T
    return Batch(
        torch.from_numpy(tokens).to(device),
        torch.from_numpy(positions).to(device),
        torch.from_numpy(np.stack([tree.mask(width) for tree in trees])[:, None]).to(device),
        rows,
        columns,
        target,
        owner,
        side_of,
        offset_of,
        places_of,
        input_owner,
        computed=sum(len(tree.tokens) for tree in trees),
    )


def _replies(sample: Sample) -> list[tuple[int, tuple[int, ...]]]:
    """Return the side of each reply, with the prompt and the reply."""
    sides = (CHOSEN, sample.tokens), (REJECTED, sample.rejected)
    return [(side, tokens) for side, tokens in sides if tokens]


_Paths = list[dict[int, tuple[int, list[int]]]]
"""The row of each sample's reply of each side, and the columns of its input tokens."""


def _in_own_rows(samples: Sequence[Sample]) -> tuple[list[TokenTree], _Paths]:
    trees: list[TokenTree] = []
    paths: _Paths = [{} for _ in samples]
    for found, sample in zip(paths, samples, strict=True):
        for side, tokens in _replies(sample):
            trees.append(TokenTree())
            found[side] = len(trees) - 1, trees[-1].add(tokens[:-1])
    return trees, paths


def _packed(samples: Sequence[Sample], row: int) -> tuple[list[TokenTree], _Paths]:
    """Pack samples into rows, the longest first, each into the row that shares most of it.

    Among rows that share equally, it is the first (first-fit decreasing).
    """
    room = max(row, *map(length, samples))
    trees: list[TokenTree] = []
    paths: _Paths = [{} for _ in samples]
    for index in sorted(range(len(samples)), key=lambda index: -length(samples[index])):
        needs = {
            at: need
            for at, tree in enumerate(trees)
            if len(tree.tokens) + (need := tree.room_for(samples[index])) <= room
        }
        if not needs:
            needs = {len(trees): 0}
            trees.append(TokenTree())
        best = min(needs, key=lambda at: needs[at])
        added = trees[best].add_sample(samples[index])
        paths[index] = {side: (best, columns) for side, columns in added.items()}
    return trees, paths


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
