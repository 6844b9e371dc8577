"""Perturb the hidden states of lessons while they are trained, in place of further wordings.

A lesson in other words reaches the adapted layers as other, similar hidden states. Training on randomly
changed ones teaches more wordings than are listed (*measured* in `benchmarks/RESULTS.md`), at the cost
of one product. Anchors stay as they are: what must not change is measured exactly.

Source: noise on embeddings as a regularizer of fine-tuning, NEFTune (arXiv 2310.05914).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.fit.job import ANCHOR, Sample

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.fit.batch import Batch

VECTORS = 1024
"""Noise vectors of a step. Which one a token gets depends on the token and its position, so that
samples that share their first tokens share their noise."""
STRIDE = 7919
"""A prime, by which neighbouring positions get distant vectors."""


@dataclass(frozen=True, slots=True)
class HiddenNoise:
    """Gaussian noise of one training step; the same seed gives the same noise.

    `size` is relative to the root mean square of each hidden state.
    """

    size: float
    seed: int

    def added(self, hidden: Tensor, batch: Batch, samples: Sequence[Sample]) -> Tensor:
        """Return `hidden` [R, L, d] of `batch` with noise on the tokens of lessons only."""
        import torch

        vectors = torch.randn(
            VECTORS, hidden.shape[-1], generator=torch.Generator().manual_seed(self.seed)
        ).to(hidden)
        lesson = torch.tensor([s.lesson != ANCHOR for s in samples], device=hidden.device)
        of_lesson = lesson[batch.input_owner]
        noisy = torch.zeros(batch.tokens.numel(), dtype=torch.bool, device=hidden.device)
        noisy[batch.inputs[of_lesson]] = True
        noisy[batch.inputs[~of_lesson]] = False  # tokens that a lesson shares with an anchor
        rows = (batch.positions * STRIDE + batch.tokens).flatten() % VECTORS
        flat = hidden.flatten(0, 1)
        size = self.size * flat.float().square().mean(-1, keepdim=True).sqrt()
        changed = flat + (size * vectors[rows]).to(flat)
        return torch.where(noisy[:, None], changed, flat).reshape(hidden.shape)
