"""The prompts whose answers must not change, the most informative first.

A night without time for all of them uses those at the front. In each group, a prompt near a marked
question, where an adapter spills over first, alternates with one that is far from all previous ones, so
that the front of a group covers all of it. Nearness is the cosine of the character n-gram vectors of
`memory/recall/embedder.py`, which need no model. Pure.

Source of the alternation: farthest-point traversal, Gonzalez, "Clustering to minimize the maximum
intercluster distance" (1985).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from memory.recall.embedder import NgramEmbedder

GROUPS = ("near_trained", "trained", "near_measured", "measured")
"""The groups of `HeldPrompts`, in the order in which a curriculum keeps them."""


@dataclass(frozen=True, slots=True)
class HeldPrompts:
    """Prompts whose answers must stay the same.

    Near misses to train with and for the gate, and unrelated prompts to train with and for the gate.
    """

    near_trained: tuple[str, ...]
    trained: tuple[str, ...]
    near_measured: tuple[str, ...]
    measured: tuple[str, ...]

    @property
    def count(self) -> int:
        """The number of prompts in all groups."""
        return sum(len(getattr(self, item.name)) for item in fields(self))

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The groups, in the order of GROUPS."""
        return tuple(getattr(self, name) for name in GROUPS)

    def ordered(self, questions: Sequence[str]) -> HeldPrompts:
        """Return the same prompts, in each group the most informative about `questions` first."""
        return HeldPrompts(*(telling_order(group, questions) for group in self.groups))


def telling_order(texts: Sequence[str], questions: Sequence[str]) -> tuple[str, ...]:
    """Return `texts` in the order of their information about the marked `questions`.

    The questions take turns in choosing the nearest text that is left; after each, the text that is
    farthest from all chosen ones follows.
    """
    if len(texts) < 2:
        return tuple(texts)
    embedder = NgramEmbedder()
    vectors = embedder.embed(texts)
    near = vectors @ embedder.embed(questions).T if questions else np.zeros((len(texts), 0))
    choices = [iter(np.argsort(-near[:, number], kind="stable")) for number in range(near.shape[1])]
    left = np.ones(len(texts), dtype=bool)
    closest = np.full(len(texts), -1.0, dtype=np.float32)
    """Cosine of each text with the nearest chosen one."""
    order: list[int] = []

    def take(place: int) -> None:
        left[place] = False
        order.append(place)
        np.maximum(closest, vectors @ vectors[place], out=closest)

    turn = 0
    while left.any():
        if choices:
            chosen = next(int(place) for place in choices[turn % len(choices)] if left[place])
            take(chosen)
            turn += 1
        if left.any():
            take(int(np.argmin(np.where(left, closest, np.inf))))
    return tuple(texts[place] for place in order)
