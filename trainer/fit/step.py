"""Compute one training step: gradients and metrics from samples, in parts that fit into memory.

The loss of a step is a sum over its samples, each divided by the counts of the whole step, so a step
computed in parts has the same gradient. When memory runs out, the size of the parts is halved and the
step restarts; training fails only if a single sample does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from trainer.fit import objective
from trainer.fit.batch import (
    CHOSEN,
    REJECTED,
    Batch,
    hidden_states,
    length,
    make_batch,
    reply_logits,
)
from trainer.fit.job import ANCHOR, Recipe, Sample

if TYPE_CHECKING:
    from torch import Tensor

Found = TypeVar("Found")

PART = {"cpu": 4096, "cuda": 16384}
"""Most tokens computed at once."""
ROWS = {"cpu": 128, "cuda": 512}


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
        self.part = PART[device]
        self._on_halved = on_halved
        self._before: dict[Sample, tuple[float, float]] = {}
        self._still: dict[Sample, Tensor] = {}
        """The base's hidden states of the anchors so far, [tokens, d], in half precision."""

    def know_the_base(self, samples: Sequence[Sample]) -> None:
        """Compute ln π_0 of the chosen and the rejected reply of every pair.

        Only the tokens that count are summed.
        """
        import torch

        pairs = [sample for sample in samples if sample.rejected]

        def once() -> None:
            with torch.inference_mode(), self.model.disable_adapter():
                for some in self._parts(pairs):
                    batch, logits, _hidden = self._forward(some)
                    sums = self._pair_sums(batch, logits, some)
                    self._before.update(
                        {s: (float(sums[0][i]), float(sums[1][i])) for i, s in enumerate(some)}
                    )

        self.with_less_memory(once, pairs)

    def look(self, samples: Sequence[Sample]) -> Outcome:
        """Return the margins and divergences of samples without training."""
        import torch

        outcome = Outcome()

        def once() -> None:
            with torch.inference_mode():
                for some in self._parts(samples):
                    batch, logits, _hidden = self._forward(some)
                    lesson = self._of_lessons(batch, some)
                    if bool((ours := lesson & (batch.side == CHOSEN)).any()):
                        self._note_margins(batch, logits, some, ours, outcome)
                    if not bool(lesson.all()):
                        _, each = self._divergence(batch, logits, some, ~lesson)
                        outcome.divergences.update(each)

        self.with_less_memory(once, samples)
        return outcome

    def _of_lessons(self, batch: Batch, samples: Sequence[Sample]) -> Tensor:
        """Return which positions belong to a lesson rather than an anchor."""
        import torch

        lesson = torch.tensor([s.lesson != ANCHOR for s in samples], device=self.device)
        return lesson[batch.owner]

    def _note_margins(
        self,
        batch: Batch,
        logits: Tensor,
        samples: Sequence[Sample],
        places: Tensor,
        outcome: Outcome,
    ) -> None:
        leads = objective.margins(
            logits[places].detach(), batch.targets[places], batch.owner[places], len(samples)
        ).tolist()
        outcome.margins.update(
            {s: lead for s, lead in zip(samples, leads, strict=True) if s.lesson != ANCHOR}
        )

    def __call__(self, samples: Sequence[Sample]) -> Outcome:
        """Add the gradients of the step to those of the parameters.

        Raises:
            MemoryError: a single sample does not fit into memory.
        """

        def once() -> Outcome:
            outcome = Outcome()
            weights = sum(s.weight for s in samples if s.lesson != ANCHOR)
            pairs = sum(s in self._before for s in samples)
            held = sum(len(s.tokens) - s.prompt for s in samples if s.top)
            still = sum(length(s) for s in samples if s.lesson == ANCHOR)
            for some in self._parts(samples):
                self._one_part(some, weights, pairs, held, still, outcome)
            return outcome

        return self.with_less_memory(once, samples)

    def with_less_memory(self, once: Callable[[], Found], samples: Sequence[Sample]) -> Found:
        """Call `once` again with smaller parts until it fits into memory."""
        import torch

        longest = max(map(length, samples), default=1)
        while True:
            try:
                return once()
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            self.model.zero_grad(set_to_none=True)
            if self.device == "cuda":
                torch.cuda.empty_cache()
            if self.part <= longest:
                raise MemoryError(f"out of memory on a single sample of {longest} tokens")
            self.part = max(longest, self.part // 2)
            self._on_halved(self.part)

    def _parts(self, samples: Sequence[Sample]) -> Iterator[list[Sample]]:
        """Yield consecutive groups of at most `part` tokens."""
        group: list[Sample] = []
        size = 0
        for sample in samples:
            if group and size + length(sample) > self.part:
                yield group
                group, size = [], 0
            group.append(sample)
            size += length(sample)
        if group:
            yield group

    def _forward(self, samples: Sequence[Sample]) -> tuple[Batch, Tensor, Tensor]:
        batch = make_batch(samples, self.device, row=ROWS[self.device])
        with self.precision():
            hidden = hidden_states(self.model, batch)
            logits = reply_logits(self.model, batch, hidden)
        return batch, logits, hidden

    def precision(self) -> AbstractContextManager[Any]:
        """Return a context manager that applies the chosen precision to matrix products."""
        import torch

        if not self.reduced:
            return nullcontext()
        return torch.autocast(self.device, dtype=torch.bfloat16)

    def _pair_sums(
        self, batch: Batch, logits: Tensor, samples: Sequence[Sample]
    ) -> tuple[Tensor, Tensor]:
        """Return ln π of each sample's chosen and rejected reply, over the tokens that count."""
        import torch

        logs = objective.token_log_probabilities(logits, batch.targets)
        found = []
        for side in (CHOSEN, REJECTED):
            first, last = [], []
            for sample in samples:
                start, end = sample.parts[2 * side : 2 * side + 2] or (sample.prompt, 1 << 30)
                first.append(start - sample.prompt)
                last.append(end - sample.prompt)
            starts, ends = (
                torch.tensor(x, device=logits.device)[batch.owner] for x in (first, last)
            )
            counted = (batch.side == side) & (batch.offset >= starts) & (batch.offset < ends)
            zero = logs.new_zeros(())
            sums = objective.sequence_sums(logs.where(counted, zero), batch.owner, len(samples))
            found.append(sums)
        return found[0], found[1]

    def _one_part(
        self,
        samples: Sequence[Sample],
        weights: float,
        pairs: int,
        held: int,
        still: int,
        outcome: Outcome,
    ) -> None:
        import torch

        recipe, device = self.recipe, self.device
        batch, logits, hidden = self._forward(samples)
        lesson = self._of_lessons(batch, samples)
        ours = lesson & (batch.side == CHOSEN)
        loss = logits.new_zeros(())
        if bool(ours.any()):
            mine, targets, owner = logits[ours], batch.targets[ours], batch.owner[ours]
            logs = objective.token_log_probabilities(mine, targets)
            weight = torch.tensor([s.weight * (s.lesson != ANCHOR) for s in samples], device=device)
            term = objective.cross_entropy(logs, owner, weight, weights)
            loss, outcome.chosen = loss + term, outcome.chosen + term.item()
            self._note_margins(batch, logits, samples, ours, outcome)
        known = [self._before.get(s) for s in samples]
        which = [i for i, value in enumerate(known) if value is not None]
        if which and recipe.preference_weight > 0:
            base = torch.tensor([known[i] for i in which], device=device, dtype=logits.dtype)
            chosen, rejected = (
                sums[which] - base[:, side]
                for side, sums in enumerate(self._pair_sums(batch, logits, samples))
            )
            term = objective.preference(chosen, rejected, recipe.preference_beta, pairs)
            loss = loss + recipe.preference_weight * term
            outcome.contrast += term.item()
        if not bool(lesson.all()):
            term = self._anchor_term(batch, logits, samples, ~lesson, held, outcome)
            loss, outcome.anchor = loss + recipe.anchor_weight * term, outcome.anchor + term.item()
            if recipe.hidden_weight > 0:
                term = self._hidden_term(batch, hidden, samples, still)
                loss, outcome.hidden = (
                    loss + recipe.hidden_weight * term,
                    outcome.hidden + term.item(),
                )
        loss.backward()  # type: ignore[no-untyped-call]
        outcome.loss += loss.item()
        outcome.tokens += batch.computed

    def _anchor_term(
        self,
        batch: Batch,
        logits: Tensor,
        samples: Sequence[Sample],
        places: Tensor,
        held: int,
        outcome: Outcome,
    ) -> Tensor:
        total, each = self._divergence(batch, logits, samples, places)
        outcome.divergences.update(each)
        return total / held

    def _divergence(
        self, batch: Batch, logits: Tensor, samples: Sequence[Sample], places: Tensor
    ) -> tuple[Tensor, dict[Sample, float]]:
        """Return the divergence from the base, summed over `places`, and per token for each sample."""
        import torch

        owner = batch.owner[places]
        # The base's log probabilities in the order of the positions, which packing has changed.
        order = list(dict.fromkeys(owner.tolist()))
        tops = [top for index in order if (top := samples[index].top) is not None]
        ids = torch.cat([torch.from_numpy(top[0]) for top in tops]).to(self.device).long()
        base = torch.cat([torch.from_numpy(top[1]) for top in tops]).to(self.device)
        found = objective.top_k_divergence(logits[places], ids, base)
        with torch.no_grad():
            sums = objective.sequence_sums(found.detach(), owner, len(samples)).tolist()
        each = {
            samples[index]: sums[index] / (len(samples[index].tokens) - samples[index].prompt)
            for index in order
        }
        return found.sum(), each

    def _hidden_term(
        self, batch: Batch, hidden: Tensor, samples: Sequence[Sample], still: int
    ) -> Tensor:
        """Return the mean distance of the anchors' hidden states from the base's.

        The mean is over `still` tokens.
        """
        import torch

        anchors = [sample.lesson == ANCHOR for sample in samples]
        self._know_hidden([s for s, anchor in zip(samples, anchors, strict=True) if anchor])
        # Padding has the index -1, which selects the last entry.
        places = torch.tensor([*anchors, False], device=self.device)[batch.segments]
        order = torch.unique_consecutive(batch.segments[places]).tolist()
        base = torch.cat([self._still[samples[index]] for index in order])
        return objective.hidden_drift(hidden[places].float(), base).sum() / still

    def _know_hidden(self, anchors: Sequence[Sample]) -> None:
        """Compute the base's hidden states of the anchors that are not known yet."""
        import torch

        unknown = [sample for sample in anchors if sample not in self._still]
        if not unknown:
            return
        batch = make_batch(unknown, self.device, row=ROWS[self.device])
        with torch.inference_mode(), self.model.disable_adapter(), self.precision():
            hidden = hidden_states(self.model, batch)
        for index, sample in enumerate(unknown):
            found = hidden[batch.segments == index]
            self._still[sample] = found if found.element_size() == 2 else found.half()


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on the CPU or on a GPU."""
    import torch

    words = str(error).lower()
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        "out of memory" in words or "not enough memory" in words or "can't allocate" in words
    )
