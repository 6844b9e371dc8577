"""Compute the layers below the adapter only once per sample.

The lowest layers have no adapter (`training.frozen_layers`), so their output for a sample never changes
and is kept. It is computed in fixed blocks of samples, so that it does not depend on the order in which
samples are drawn. Needs only torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trainer.fit.batch import Batch, attention_masks, carries_state, inner_model, length, make_batch
from trainer.fit.job import Sample

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.fit.model.hidden_noise import HiddenNoise

BLOCK = 512
"""Tokens of a block of samples."""
KEPT_BYTES = {"cpu": 384 << 20, "cuda": 4 << 30}
"""Most bytes of hidden states that are kept; those of other samples are computed at every draw."""


class LowerLayers:
    """Runs the model in two halves and keeps the result of the lower one."""

    def __init__(self, model: Any, device: str) -> None:
        import torch

        class Skipped(torch.nn.Module):
            """A layer that returns its input."""

            def forward(self, hidden: Tensor, *_: Any, **__: Any) -> Tensor:
                return hidden

        self._device = device
        self._inner = inner_model(model)
        self.apart = carries_state(self._inner)
        """Whether each reply needs its own row."""
        self.multiple = 1
        """The lengths of rows are multiples of this."""
        self.reduced = False
        """Whether the results are kept in bfloat16, in which the next layer multiplies anyway."""
        layers, norm = self._inner.layers, self._inner.norm
        self.count = first_adapted_layer(layers)
        skipped = Skipped()
        lower = [layer if n < self.count else skipped for n, layer in enumerate(layers)]
        upper = [layer if n >= self.count else skipped for n, layer in enumerate(layers)]
        self._whole = layers, norm
        self._lower = torch.nn.ModuleList(lower), skipped
        self._upper = torch.nn.ModuleList(upper), norm
        self._blocks: dict[Sample, list[Sample]] = {}
        self._kept: dict[Sample, Tensor] = {}
        self._dtype = torch.float32
        self._bytes = 0

    def arrange(self, samples: Sequence[Sample]) -> None:
        """Assign `samples` to blocks."""
        block: list[Sample] = []
        room = 0
        for sample in samples:
            room -= length(sample)
            if room < 0:
                block, room = [], BLOCK - length(sample)
            block.append(sample)
            self._blocks[sample] = block

    def last_hidden(
        self, batch: Batch, samples: Sequence[Sample], noise: HiddenNoise | None = None
    ) -> Tensor:
        """Return the last hidden states [R, L, d] of `batch`, made of `samples`.

        `noise` is added where the adapted layers begin.
        """
        lower = self._lower_output(batch, samples)
        if noise is not None:
            lower = noise.added(lower, batch, samples)
        with self._only(self._upper):
            return self._run(batch, inputs_embeds=lower)

    def _lower_output(self, batch: Batch, samples: Sequence[Sample]) -> Tensor:
        """Return the input of the first adapted layer, [R, L, d]; without lower layers, embeddings."""
        import torch

        if not self.count:
            with torch.no_grad():
                embedded: Tensor = self._inner.get_input_embeddings()(batch.tokens)
            return embedded
        self._compute([sample for sample in samples if sample not in self._kept])
        if all(sample in self._kept for sample in samples):
            return self._placed(batch, samples)
        with torch.no_grad(), self._only(self._lower):
            return self._run(batch, input_ids=batch.tokens)

    def _placed(self, batch: Batch, samples: Sequence[Sample]) -> Tensor:
        """Return the kept hidden states of `samples` at their places in the batch; padding is zero."""
        import torch

        found = torch.cat([self._kept[sample] for sample in samples]).to(self._dtype)
        hidden = found.new_zeros(batch.tokens.numel(), found.shape[-1])
        hidden[batch.inputs] = found
        return hidden.reshape(*batch.tokens.shape, -1)

    def _compute(self, samples: Sequence[Sample]) -> None:
        """Compute the blocks of `samples`, and keep them as long as there is room."""
        import torch

        for sample in samples:
            if sample in self._kept or self._bytes >= KEPT_BYTES[self._device]:
                continue
            block = self._blocks.get(sample) or [sample]
            # Tensors made in inference mode cannot be used in a step.
            with torch.inference_mode(False), torch.no_grad(), self._only(self._lower):
                batch = make_batch(block, self._device, apart=self.apart, multiple=self.multiple)
                hidden = self._run(batch, input_ids=batch.tokens)
                self._dtype = hidden.dtype
                flat = hidden.flatten(0, 1)
                for index, one in enumerate(block):
                    states = flat[batch.inputs[batch.input_owner == index]]
                    self._kept[one] = states.bfloat16() if self.reduced else states
                    self._bytes += self._kept[one].nbytes

    def _run(self, batch: Batch, **inputs: Tensor) -> Tensor:
        hidden: Tensor = self._inner(
            **inputs,
            position_ids=batch.positions,
            attention_mask=attention_masks(self._inner, batch),
            use_cache=False,
        ).last_hidden_state
        return hidden

    @contextmanager
    def _only(self, half: tuple[Any, Any]) -> Iterator[None]:
        """Use only one half of the layers while the block runs."""
        self._inner.layers, self._inner.norm = half
        try:
            yield
        finally:
            self._inner.layers, self._inner.norm = self._whole


def first_adapted_layer(layers: Sequence[Any]) -> int:
    """Return the number of the first layer with an adapter, 0 if there is none."""
    return next(
        (
            number
            for number, layer in enumerate(layers)
            if any("lora_" in name for name, _ in layer.named_parameters())
        ),
        0,
    )
