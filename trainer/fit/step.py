"""Compute one training step: gradients and metrics of its samples, in micro-batches.

The loss of a step is a sum over its samples, each divided by the counts of the whole step, so the
gradient does not depend on the micro-batches. `trainer/fit/micro_batches.py` divides the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainer.fit import loss
from trainer.fit.batch import (
    CHOSEN,
    REJECTED,
    Batch,
    length,
    make_batch,
    reply_logits,
)
from trainer.fit.job import ANCHOR, Recipe, Sample
from trainer.fit.micro_batches import MicroBatches
from trainer.fit.model.hidden_noise import HiddenNoise
from trainer.fit.model.lower_layers import LowerLayers
from trainer.fit.model.precision import freeze_in_bfloat16

if TYPE_CHECKING:
    from torch import Tensor

ROW_TOKENS = {"cpu": (128, 512), "cuda": (512, 512)}
"""Fewest and most tokens of a row. In a row of half the width of the hidden states, attention costs
about a sixth of the other products; wider models have longer rows, which share more."""
MULTIPLE = 32
"""In bfloat16, rows are padded to a multiple of this many tokens. PyTorch then computes products with
oneDNN, which compiles code for each shape and keeps it with its buffers: with rows of any length, the
process grew from 1.2 to 4 GB within a training. *Measured* on SmolLM2-135M (24 steps, two threads): 1.8
instead of 2.25 GB and 272 instead of 246 tokens per second; with multiples of 64, 259."""
SEED_STRIDE = 1_000_003
"""Distance between the seeds of the noise of two recipes; each step has its own."""
LOGIT_BYTES = {"cpu": 24 << 20, "cuda": 1 << 30}
"""Most bytes of the logits that are computed at once."""


@dataclass(slots=True)
class Outcome:
    """The metrics of a step; the loss terms are unweighted."""

    loss: float = 0.0
    chosen: float = 0.0
    contrast: float = 0.0
    anchor: float = 0.0
    hidden: float = 0.0
    tokens: int = 0
    margins: dict[Sample, float] = field(default_factory=dict)
    divergences: dict[Sample, float] = field(default_factory=dict)


class Stepper:
    """Computes the steps for one model and recipe."""

    def __init__(
        self, model: Any, recipe: Recipe, device: str, on_halved: Callable[[int], None]
    ) -> None:
        self.model = model
        self.recipe = recipe
        self.device = device
        self.reduced = False
        """Whether matrix products are computed in bfloat16."""
        self.micro_batches = MicroBatches(model, device, on_halved)
        self.lower = LowerLayers(model, device)
        self.noise: HiddenNoise | None = None
        """What is added to the hidden states of lessons; only during a step."""
        least, most = ROW_TOKENS[device]
        self._row = max(least, min(most, model.config.hidden_size // 2))
        self._logits_at_once = max(16, LOGIT_BYTES[device] // (4 * model.config.vocab_size))
        self._base_sums: dict[Sample, tuple[float, float]] = {}
        self._base_hidden: dict[Sample, Tensor] = {}
        """The base's hidden states of the anchors so far, [tokens, d], in half precision."""

    def compute_base_log_probabilities(self, samples: Sequence[Sample]) -> None:
        """Compute ln π_0 of both replies of every pair, summed over the tokens that count."""
        import torch

        pairs = [sample for sample in samples if sample.rejected]

        def once() -> None:
            with torch.inference_mode(), self.model.disable_adapter():
                for some in self.micro_batches.without_gradients(pairs):
                    batch, hidden = self.forward(some)
                    logs, _leads = self._lesson_scores(batch, hidden, batch.owner >= 0)
                    sums = self._pair_sums(batch, logs, some)
                    self._base_sums.update(
                        {s: (float(sums[0][i]), float(sums[1][i])) for i, s in enumerate(some)}
                    )

        self.micro_batches.retry_smaller(once, pairs)

    def evaluate(self, samples: Sequence[Sample]) -> Outcome:
        """Return the margins and divergences of samples without training."""
        import torch

        outcome = Outcome()

        def once() -> None:
            with torch.inference_mode():
                for some in self.micro_batches.without_gradients(samples):
                    batch, hidden = self.forward(some)
                    lesson = self._of_lessons(batch, some)
                    ours = lesson & (batch.side == CHOSEN)
                    _logs, leads = self._lesson_scores(batch, hidden, ours)
                    self._note_margins(leads, batch.owner[ours], some, outcome)
                    self._divergence(batch, hidden, some, ~lesson, outcome)
                    outcome.tokens += batch.computed

        self.micro_batches.retry_smaller(once, samples)
        return outcome

    def _of_lessons(self, batch: Batch, samples: Sequence[Sample]) -> Tensor:
        """Return a mask of the positions that belong to a lesson, not to an anchor."""
        import torch

        lesson = torch.tensor([s.lesson != ANCHOR for s in samples], device=self.device)
        return lesson[batch.owner]

    @staticmethod
    def _note_margins(
        leads: Tensor, owner: Tensor, samples: Sequence[Sample], outcome: Outcome
    ) -> None:
        worst = loss.margins(leads, owner, len(samples)).tolist()
        outcome.margins.update(
            {s: lead for s, lead in zip(samples, worst, strict=True) if s.lesson != ANCHOR}
        )

    def __call__(self, samples: Sequence[Sample], step: int = 0) -> Outcome:
        """Add the gradients of the step with this number to those of the parameters.

        Raises:
            MemoryError: a single sample does not fit into memory.
        """

        def once() -> Outcome:
            outcome = Outcome()
            shares = _Shares(
                weights=sum(s.weight for s in samples if s.lesson != ANCHOR),
                pairs=sum(s in self._base_sums for s in samples),
                replies=sum(len(s.tokens) - s.prompt for s in samples if s.top),
                anchors=sum(length(s) for s in samples if s.lesson == ANCHOR),
            )
            for some in self.micro_batches.with_gradients(samples):
                self._one_micro_batch(some, shares, outcome)
            return outcome

        if self.recipe.noise:
            self.noise = HiddenNoise(self.recipe.noise, SEED_STRIDE * self.recipe.seed + step)
        try:
            return self.micro_batches.retry_smaller(once, samples)
        finally:
            self.noise = None

    def forward(self, samples: Sequence[Sample]) -> tuple[Batch, Tensor]:
        """Return the packed samples and their last hidden states [R, L, d]."""
        batch = self.packed(samples)
        return batch, self.last_hidden(batch, samples)

    def packed(self, samples: Sequence[Sample]) -> Batch:
        """Return the samples as the tensors of one forward pass."""
        lower = self.lower
        return make_batch(
            samples, self.device, row=self._row, apart=lower.apart, multiple=lower.multiple
        )

    def last_hidden(self, batch: Batch, samples: Sequence[Sample]) -> Tensor:
        """Return the last hidden states [R, L, d] of `batch`, made of `samples`."""
        with self.precision():
            return self.lower.last_hidden(batch, samples, self.noise)

    def use_precision(self, reduced: bool) -> None:
        """Choose the precision: with `reduced`, matrix products and frozen matrices are in bfloat16."""
        self.reduced = reduced
        self.lower.reduced = reduced
        self.lower.multiple = MULTIPLE if reduced else 1
        if reduced:
            freeze_in_bfloat16(self.model)

    def precision(self) -> AbstractContextManager[Any]:
        """Return a context manager that applies the chosen precision to matrix products."""
        import torch

        if not self.reduced:
            return nullcontext()
        return torch.autocast(self.device, dtype=torch.bfloat16)

    def _scored(
        self,
        score: Callable[..., tuple[Tensor, ...]],
        batch: Batch,
        hidden: Tensor,
        places: Tensor,
        *columns: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return score(logits, *columns) of the positions in `places`.

        To save memory, logits are computed for a limited number of positions at once, and again in
        the backward pass.
        """
        import torch
        from torch.utils.checkpoint import checkpoint

        def at(some: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
            return score(reply_logits(self.model, some), *values)

        rows = self._logits_at_once
        inputs = (hidden[batch.rows[places], batch.columns[places]], *columns)
        if len(inputs[0]) <= rows:
            return at(*inputs)
        found = [
            checkpoint(
                at,
                *(values[start : start + rows] for values in inputs),
                use_reentrant=False,
                preserve_rng_state=False,
            )
            for start in range(0, len(inputs[0]), rows)
        ]
        return tuple(torch.cat(parts) for parts in zip(*found, strict=True))

    def _lesson_scores(self, batch: Batch, hidden: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return ln p of the targets in `places`, and their leads (without gradient)."""

        def score(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            logs = loss.token_log_probabilities(logits, targets)
            return logs, loss.leads(logits.detach(), targets)

        logs, leads = self._scored(score, batch, hidden, places, batch.targets[places])
        return logs, leads

    def _pair_sums(
        self, batch: Batch, logs: Tensor, samples: Sequence[Sample]
    ) -> tuple[Tensor, Tensor]:
        """Return ln π of each sample's chosen and rejected reply, over the tokens that count.

        `logs` has ln p of every position of the batch.
        """
        import torch

        found = []
        for side in (CHOSEN, REJECTED):
            first, last = [], []
            for sample in samples:
                start, end = sample.parts[2 * side : 2 * side + 2] or (sample.prompt, 1 << 30)
                first.append(start - sample.prompt)
                last.append(end - sample.prompt)
            starts, ends = (torch.tensor(x, device=logs.device)[batch.owner] for x in (first, last))
            counted = (batch.side == side) & (batch.offset >= starts) & (batch.offset < ends)
            zero = logs.new_zeros(())
            sums = loss.sequence_sums(logs.where(counted, zero), batch.owner, len(samples))
            found.append(sums)
        return found[0], found[1]

    def _one_micro_batch(
        self, samples: Sequence[Sample], shares: _Shares, outcome: Outcome
    ) -> None:
        recipe = self.recipe
        batch, hidden = self.forward(samples)
        lesson = self._of_lessons(batch, samples)
        total = hidden.new_zeros(())
        if bool(lesson.any()):
            chosen, contrast = self._lesson_terms(batch, hidden, samples, shares, outcome)
            total = total + chosen + recipe.preference_weight * contrast
            outcome.chosen += chosen.item()
            outcome.contrast += contrast.item()
        if not bool(lesson.all()):
            term = self._divergence(batch, hidden, samples, ~lesson, outcome) / shares.replies
            total, outcome.anchor = (
                total + recipe.anchor_weight * term,
                outcome.anchor + term.item(),
            )
            if recipe.hidden_weight > 0:
                term = self._hidden_drift(batch, hidden, samples) / shares.anchors
                total = total + recipe.hidden_weight * term
                outcome.hidden += term.item()
        total.backward()  # type: ignore[no-untyped-call]
        outcome.loss += total.item()
        outcome.tokens += batch.computed

    def _lesson_terms(
        self,
        batch: Batch,
        hidden: Tensor,
        samples: Sequence[Sample],
        shares: _Shares,
        outcome: Outcome,
    ) -> tuple[Tensor, Tensor]:
        """Return the cross entropy of the chosen replies and the contrast with the rejected ones."""
        import torch

        places = self._of_lessons(batch, samples)
        logs, leads = self._lesson_scores(batch, hidden, places)
        owner, ours = batch.owner[places], batch.side[places] == CHOSEN
        self._note_margins(leads[ours], owner[ours], samples, outcome)
        weight = torch.tensor(
            [s.weight * (s.lesson != ANCHOR) for s in samples], device=self.device
        )
        term = loss.cross_entropy(logs[ours], owner[ours], weight, shares.weights)
        known = [self._base_sums.get(s) for s in samples]
        which = [i for i, value in enumerate(known) if value is not None]
        if not which or self.recipe.preference_weight <= 0:
            return term, term.new_zeros(())
        every = logs.new_zeros(len(batch.owner)).masked_scatter(places, logs)
        base = torch.tensor([known[i] for i in which], device=self.device, dtype=logs.dtype)
        chosen, rejected = (
            sums[which] - base[:, side]
            for side, sums in enumerate(self._pair_sums(batch, every, samples))
        )
        beta = self.recipe.preference_beta
        return term, loss.preference(chosen, rejected, beta, shares.pairs)

    def _divergence(
        self,
        batch: Batch,
        hidden: Tensor,
        samples: Sequence[Sample],
        places: Tensor,
        outcome: Outcome,
    ) -> Tensor:
        """Return the divergence of the anchors from the base, summed over their `places`.

        Each anchor's mean per token is noted in `outcome`.
        """
        import torch

        owner = batch.owner[places]
        # The base's log probabilities in the order of the positions, which packing has changed.
        order = list(dict.fromkeys(owner.tolist()))
        tops = [top for index in order if (top := samples[index].top) is not None]
        if not tops:
            return hidden.new_zeros(())
        ids = torch.cat([torch.from_numpy(top[0]) for top in tops]).to(self.device).long()
        base = torch.cat([torch.from_numpy(top[1]) for top in tops]).to(self.device)

        def score(logits: Tensor, ids: Tensor, base: Tensor) -> tuple[Tensor]:
            return (loss.top_k_divergence(logits, ids, base),)

        (found,) = self._scored(score, batch, hidden, places, ids, base)
        sums = loss.sequence_sums(found.detach(), owner, len(samples)).tolist()
        for index in order:
            size = len(samples[index].tokens) - samples[index].prompt
            outcome.divergences[samples[index]] = sums[index] / size
        return found.sum()

    def _hidden_drift(self, batch: Batch, hidden: Tensor, samples: Sequence[Sample]) -> Tensor:
        """Return the distance of the anchors' hidden states from the base's, summed over tokens."""
        import torch

        anchors = [sample for sample in samples if sample.lesson == ANCHOR]
        self._compute_base_hidden(anchors)
        held = torch.tensor([s.lesson == ANCHOR for s in samples], device=self.device)
        places = batch.inputs[held[batch.input_owner]]
        base = torch.cat([self._base_hidden[sample] for sample in anchors])
        return loss.hidden_drift(hidden.flatten(0, 1)[places].float(), base).sum()

    def _compute_base_hidden(self, anchors: Sequence[Sample]) -> None:
        """Compute the base's hidden states of the anchors that are not known yet."""
        import torch

        unknown = [sample for sample in anchors if sample not in self._base_hidden]
        if not unknown:
            return
        with torch.inference_mode(), self.model.disable_adapter():
            batch, hidden = self.forward(unknown)
        flat = hidden.flatten(0, 1)
        for index, sample in enumerate(unknown):
            found = flat[batch.inputs[batch.input_owner == index]]
            self._base_hidden[sample] = found if found.element_size() == 2 else found.half()


@dataclass(frozen=True, slots=True)
class _Shares:
    """The divisors of the terms of a step, so that the sum over micro-batches is that of the step."""

    weights: float
    pairs: int
    replies: int
    """Tokens of the anchors' replies."""
    anchors: int
    """Tokens of the anchors."""
