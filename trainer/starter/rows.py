"""Encode conversations as rows of token ids with weights, in batches of similar length.

The layout of a chat in tokens is that of `agent/prompt/prompt.py`: contents are tokenised separately
from the template and without control tokens. A separate process draws and encodes ahead of the training
loop; batch n of a seed is always the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from trainer.starter import vocabulary
from trainer.starter.talk import StarterTurn, conversation, plain_talk

POOL = 384  # conversations drawn at once, then sorted by length
LENGTH_MULTIPLE = 32  # lengths are rounded up to a multiple of this


@dataclass(frozen=True, slots=True)
class StarterBatch:
    """A batch of rows.

    `tokens` are (rows, length); `at` are the flat positions whose next token is trained on, with
    `weight`.
    """

    tokens: NDArray[np.int64]
    at: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: NDArray[np.float32]
    count: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The token ids of the chat template."""

    begin: int
    end: int
    user: tuple[int, ...]
    assistant: tuple[int, ...]
    line: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Layout:
        """Read the ids from a tokenizer."""
        return cls(
            tokenizer.token_to_id("<|im_start|>") or 0,
            tokenizer.token_to_id("<|im_end|>") or 0,
            tuple(tokenizer.encode("user\n").ids),
            tuple(tokenizer.encode("assistant\n").ids),
            tuple(tokenizer.encode("\n").ids),
        )


def encode(
    tokenizer: Tokenizer, layout: Layout, conversations: Sequence[Sequence[StarterTurn]]
) -> list[tuple[list[int], list[bool]]]:
    """Return the ids of each conversation, and which of them belong to a reply."""
    flat = [
        text for turns in conversations for turn in turns for text in (turn.content, turn.reply)
    ]
    ids = iter(tokenizer.encode_batch([text.strip() for text in flat]))
    found = []
    for turns in conversations:
        row: list[int] = []
        mine: list[bool] = []
        for _ in turns:
            content, reply = next(ids).ids, [*next(ids).ids, layout.end]
            before = [layout.begin, *layout.user, *content, layout.end, *layout.line]
            before += [layout.begin, *layout.assistant]
            row += [*before, *reply, *layout.line]
            mine += [False] * len(before) + [True] * len(reply) + [False] * len(layout.line)
        found.append((row, mine))
    return found


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How batches are made.

    A batch has about `tokens` positions, and no row is longer than `context`. `share` of the positions
    outside replies are trained on too, with weight `other`. Over the first `ease` pools the number of
    recalled items grows from one to the usual.
    """

    tokens: int
    context: int
    other: float
    share: float
    ease: int = 0


def batches(
    tokenizer: Tokenizer, seed: int, start: int, options: BatchOptions
) -> Iterator[StarterBatch]:
    """Yield batches from pool number `start` on."""
    layout = Layout.of(tokenizer)
    pool = start
    while True:
        random = Random(f"rows {seed} {pool}")
        hard = min(1.0, pool / options.ease) if options.ease else 1.0
        drawn = [_drawn(random, hard) for _ in range(POOL)]
        rows = encode(tokenizer, layout, drawn)
        rows = sorted(
            (row for row in rows if len(row[0]) <= options.context), key=lambda row: len(row[0])
        )
        made: list[StarterBatch] = []
        while rows:
            length = -(-len(rows[-1][0]) // LENGTH_MULTIPLE) * LENGTH_MULTIPLE
            count = max(1, options.tokens // length)
            made.append(
                _batch(rows[-count:], length, Random(f"{seed} {pool} {len(rows)}"), options)
            )
            del rows[-count:]
        random.shuffle(made)
        yield from made
        pool += 1


def _drawn(random: Random, hard: float) -> list[StarterTurn]:
    kind = random.random()
    return plain_talk(random) if kind < 0.18 else conversation(random, kind < 0.72, hard)


def _batch(
    rows: Sequence[tuple[list[int], list[bool]]],
    length: int,
    random: Random,
    options: BatchOptions,
) -> StarterBatch:
    ids = np.zeros((len(rows), length), dtype=np.int64)
    weight = np.zeros((len(rows), length), dtype=np.float32)
    target = np.zeros((len(rows), length), dtype=np.int64)
    chance = (
        np.random.default_rng(random.getrandbits(32)).random((len(rows), length)) < options.share
    )
    for index, (row, mine) in enumerate(rows):
        size = len(row)
        ids[index, :size] = row
        target[index, : size - 1] = row[1:]
        reply = np.array(mine[1:])
        weight[index, : size - 1] = np.where(
            reply, 1.0, np.where(chance[index, : size - 1], options.other, 0)
        )
    at = np.flatnonzero(weight)
    return StarterBatch(
        ids, at, target.ravel()[at], weight.ravel()[at], sum(len(row) for row, _ in rows)
    )


def produce(path: Path, queue: Any, seed: int, start: int, options: BatchOptions) -> None:
    """Fill `queue` with batches forever; runs in its own process."""
    for batch in batches(vocabulary.load(path), seed, start, options):
        queue.put(batch)
