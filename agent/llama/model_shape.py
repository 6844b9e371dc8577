"""The dimensions of a model, read from a GGUF's header.

llama.cpp and torch build the same model from them. Values that the two would read differently, or that
make llama.cpp abort the process, raise ModelError. Source: llama.cpp's `llama-model.cpp` and
`llama-context.cpp`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.llama.architectures import ARCHITECTURES, Shape
from agent.llama.gguf_header import Header
from memory.errors import ModelError
from memory.sentence import Sentence

_MOST_LAYERS = 512  # LLAMA_MAX_LAYERS
_SCALINGS = ("none", "linear", "yarn", "longrope")


def read_shape(header: Header, path: Path) -> Shape:
    """Return the shape from the header of the GGUF at `path`.

    Raises:
        ModelError: another architecture, or a number that is missing or impossible.
    """
    if header.architecture not in ARCHITECTURES:
        raise ModelError(
            "the model {path} has the architecture {architecture!r}, which Discern does not know; "
            "choose a GGUF of one of these: {architectures}",
            path=path,
            architecture=header.architecture,
            architectures=", ".join(ARCHITECTURES),
        )
    return _Reader(header, path).shape()


@dataclass(frozen=True, slots=True)
class _Reader:
    header: Header
    path: Path

    def shape(self) -> Shape:
        width = self.whole("embedding_length", 1, 1 << 20)
        heads = self.whole("attention.head_count", 1, 1 << 16)
        kv_heads = self.whole("attention.head_count_kv", 1, heads, heads)
        head = self.whole("attention.key_length", 1, 1 << 16, max(1, width // heads))
        for key in ("attention.value_length", "rope.dimension_count"):
            if (other := self.whole(key, 0, 1 << 31, head)) != head:
                raise self.refusal(
                    Sentence(
                        "{key} is {other} and the head size is {head}, and llama.cpp "
                        "needs them equal",
                        key=key,
                        other=other,
                        head=head,
                    )
                )
        if heads % kv_heads:
            raise self.refusal(
                Sentence(
                    "attention.head_count ({heads}) is not a multiple of head_count_kv "
                    "({kv_heads})",
                    heads=heads,
                    kv_heads=kv_heads,
                )
            )
        if experts := self.whole("expert_count", 0, 1 << 16, 0):
            raise self.refusal(
                Sentence(
                    "expert_count is {experts}, and this architecture is known without experts",
                    experts=experts,
                )
            )
        stretch, scaling = self.scaling()
        return Shape(
            layers=self.whole("block_count", 1, _MOST_LAYERS),
            width=width,
            inner=self.whole("feed_forward_length", 1, 1 << 24),
            heads=heads,
            kv_heads=kv_heads,
            head=head,
            context=self.whole("context_length", 1, 1 << 31),
            eps=self.real("attention.layer_norm_rms_epsilon", 1.0),
            theta=self.real("rope.freq_base", 1e12, 10_000.0),
            stretch=stretch,
            scaling=scaling,
        )

    def scaling(self) -> tuple[float, str]:
        """Return the kind of rope scaling; a factor without a kind is linear, and 0 means none."""
        kind = self.header.own("rope.scaling.type", "linear")
        if kind not in _SCALINGS:
            raise self.refusal(
                Sentence(
                    "rope.scaling.type is {kind}, which llama.cpp does not know", kind=repr(kind)
                )
            )
        name = "rope.scaling.factor"
        name = name if self.header.own(name) is not None else "rope.scale_linear"
        factor = self.header.own(name, 0.0)
        stretch = self.real(name, 1e6, 1.0) if factor != 0 else 1.0
        if kind == "none" or (kind == "linear" and stretch == 1):
            return 1.0, "none"
        return stretch, str(kind)

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int:
        value = self.value(key, default)
        if type(value) is not int or not least <= value <= most:
            raise self.refusal(
                Sentence(
                    "{key} is {value} and must be one whole number from {least:,} to {most:,}",
                    key=key,
                    value=repr(value),
                    least=least,
                    most=most,
                )
            )
        return value

    def real(self, key: str, most: float, default: float | None = None) -> float:
        value = self.value(key, default)
        if type(value) not in (int, float) or not (math.isfinite(value) and 0 < value <= most):
            raise self.refusal(
                Sentence(
                    "{key} is {value} and must be a number above 0, at most {most:g}",
                    key=key,
                    value=repr(value),
                    most=most,
                )
            )
        return float(value)

    def value(self, key: str, default: Any) -> Any:
        value = self.header.own(key, default)
        if value is None:
            raise self.refusal(Sentence("{key} is missing", key=key))
        return value

    def refusal(self, why: Sentence) -> ModelError:
        return ModelError(
            "the model {path} cannot be served: in its header {why}; choose another GGUF",
            path=self.path,
            why=why,
        )
