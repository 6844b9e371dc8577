"""Where an adapter begins: listening to what sets the lessons apart from what must stay.

A low-rank adapter changes what passes through its A alone. PEFT draws A at random, so that the first
steps move lessons and everything else alike, and the rest of the training takes half of that back.
Here A's rows are the directions of a matrix's input that are strong in the lessons for what they are
in the anchors: the leading solutions v of C_lessons v = λ (C_anchors + ρ I) v, with C the second
moments of the input over tokens. B stays zero, so the adapter begins as no change at all. *Measured* on
the starter, see `GAIN`: twice as much learnt in the same steps.

Kin: EVA (arXiv 2410.07170) takes the strongest directions of the lessons alone, CorDA (arXiv
2406.05223) the weakest of what must stay, and changes the base for it. Needs torch alone; keeps
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trainer.fit.batch import hidden_states, length, make_batch
from trainer.fit.job import Sample

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.fit.step import Stepper

SUBSPACE = 256
"""Of a wider input, so many directions that are strong in the lessons are looked at."""
RIDGE = 0.01
"""ρ, as a share of the mean moment of the anchors: what is quiet in both is not taken for a mark."""
QUIET = 0.01
"""Directions that carry less than this share of the lessons' mean moment are left to the random start:
to make an A hear them as loud as the others takes numbers that no f16 holds. *Measured* on the starter:
of rank 16 the quietest has .15, of rank 256 some have 0."""
GAIN = 3.0
"""How strongly A hears the lessons, as a multiple of the random start's. *Measured* on the starter, 50
marks, 180,000 tokens: the random start at its best rate .92/.75/.93 (lessons, rephrasings, unrelated
unchanged), this one .98/.82/1.00."""


def listen(stepper: Stepper, lessons: Sequence[Sample], anchors: Sequence[Sample]) -> None:
    """Set every A of the stepper's model; B must be zero. Does nothing without lessons or anchors.

    Raises:
        MemoryError: not even one sample fits into memory.
    """
    import torch

    if not lessons or not anchors:
        return
    model = stepper.model
    parts = {
        name: module
        for name, module in model.named_modules()
        if "default" in getattr(module, "lora_A", {})
    }

    def once() -> None:
        half = stepper.part // 2
        some = _first(lessons, half)
        samples = [*some, *_first(anchors, half)]
        batch = make_batch(samples, stepper.device)
        ours = (batch.segments >= 0) & (batch.segments < len(some))
        theirs = batch.segments >= len(some)
        ear = _Ear(ours, theirs)
        hooks = [module.register_forward_hook(ear.hear) for module in parts.values()]
        try:
            with torch.inference_mode(), stepper.precision():
                hidden_states(model, batch)
        finally:
            for hook in hooks:
                hook.remove()
        with torch.no_grad():
            for module, rows in ear.found.items():
                module.lora_A["default"].weight.copy_(rows)

    stepper.with_less_memory(once, [*lessons, *anchors])


def _first(samples: Sequence[Sample], room: int) -> list[Sample]:
    """Return every so many of `samples`, together at most `room` tokens, and one at least."""
    mean = max(1, sum(map(length, samples)) // len(samples))
    chosen: list[Sample] = []
    left = room
    for sample in samples[:: max(1, len(samples) * mean // room)]:
        left -= length(sample)
        if left < 0 and chosen:
            break
        chosen.append(sample)
    return chosen


class _Ear:
    """Finds the rows of each module as its input passes; those of one input and rank share the work."""

    def __init__(self, ours: Tensor, theirs: Tensor) -> None:
        self.found: dict[Any, Tensor] = {}
        self._ours, self._theirs = ours, theirs
        self._input: Tensor | None = None
        self._rank = 0
        self._rows: Tensor

    def hear(self, module: Any, arguments: tuple[Any, ...], _output: Any) -> None:
        (values, *_) = arguments
        start = module.lora_A["default"].weight
        rank = start.shape[0]
        if values is not self._input or rank != self._rank:
            self._input, self._rank = values, rank
            lessons, anchors = values[self._ours].float(), values[self._theirs].float()
            found = directions(lessons, anchors, rank, RIDGE)
            found = found / found.norm(dim=1, keepdim=True)
            mine = (lessons @ found.T).square().mean(0)
            loud = mine >= QUIET * lessons.square().mean()
            heard = (lessons @ start.float().T).square().mean()
            self._rows = found[loud] * (GAIN * (heard / mine[loud]).sqrt())[:, None]
        rows = start.clone()
        rows[: len(self._rows)] = self._rows
        self.found[module] = rows


def directions(lessons: Tensor, anchors: Tensor, rank: int, ridge: float) -> Tensor:
    """Return the `rank` directions, fewer where there are no more, that are strongest in `lessons`
    [T, d] for what they are in `anchors` [U, d]: rows [rank, d], the strongest first."""
    import torch

    width = lessons.shape[1]
    basis = None
    if width > SUBSPACE:
        # Random mixtures of the lessons' rows, sharpened once, span what is strong in them (Halko,
        # Martinsson, Tropp 2011, the randomized range finder).
        draw = torch.Generator().manual_seed(0)
        mixed = torch.randn(SUBSPACE, len(lessons), generator=draw).to(lessons)
        rough = torch.linalg.qr((mixed @ lessons).T).Q
        basis = torch.linalg.qr(lessons.T @ (lessons @ rough)).Q
        lessons, anchors = lessons @ basis, anchors @ basis
    ours, theirs = (x.T @ x / len(x) for x in (lessons.double(), anchors.double()))
    mean = theirs.diagonal().mean().clamp_min(1e-12)
    theirs = theirs + ridge * mean * torch.eye(len(theirs), device=theirs.device)
    root = torch.linalg.cholesky(theirs)
    whitened = torch.linalg.solve_triangular(root, ours, upper=False)
    whitened = torch.linalg.solve_triangular(root, whitened.T, upper=False)
    vectors = torch.linalg.eigh(whitened).eigenvectors.flip(-1)[:, :rank]
    rows: Tensor = torch.linalg.solve_triangular(root.T, vectors, upper=True).T.to(lessons)
    return rows if basis is None else rows @ basis.T
