"""Read the dimensions of a model from its GGUF's header.

llama.cpp and torch build the same model from them. Values that the two would read differently, or that
make llama.cpp abort the process, raise ModelError, and so does a tensor that the architecture's row
(`agent/llama/gguf/architectures.py`) does not have: what is served is what can be trained. Source:
llama.cpp's `llama-model.cpp`, `llama-context.cpp` and `models/`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.llama.gguf.architectures import ARCHITECTURES, ROTARY_FACTORS, Architecture
from agent.llama.gguf.header import GgufHeader, Listed
from agent.llama.gguf.model_shape import (
    FULL,
    RECURRENT,
    WINDOW,
    DeltaNet,
    Experts,
    LayerKind,
    Rope,
    Shape,
)
from memory.errors import ModelError
from memory.sentence import Sentence

_MOST_LAYERS = 512  # LLAMA_MAX_LAYERS
_MOST_EXPERTS = 512  # LLAMA_MAX_EXPERTS
_SCALINGS = ("none", "linear", "yarn")


def read_shape(header: GgufHeader, path: Path) -> Shape:
    """Return the shape from the header of the GGUF at `path`.

    Raises:
        ModelError: another architecture, something that only llama.cpp or only torch computes, or a
            number that is missing or impossible.
    """
    row = ARCHITECTURES.get(header.architecture)
    if row is None:
        raise ModelError(
            "the model {path} has the architecture {architecture!r}, which is not supported; "
            "choose a GGUF with one of these architectures: {architectures}",
            path=path,
            architecture=header.architecture,
            architectures=", ".join(ARCHITECTURES),
        )
    require_whole(header, path)
    return _Reader(header, path, row).shape()


def require_whole(header: GgufHeader, path: Path) -> None:
    """Refuse a part of a split file: llama.cpp would find the others, training would not.

    Raises:
        ModelError: the file is one of several.
    """
    count = header.values.get("split.count", 1)
    if count in (0, 1):
        return
    raise ModelError(
        "the model {path} is one of {count} parts; merge them with llama.cpp's "
        "llama-gguf-split --merge",
        path=path,
        count=count,
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    header: GgufHeader
    path: Path
    row: Architecture

    def shape(self) -> Shape:
        width = self.whole("embedding_length", 1, 1 << 20)
        heads = self.whole("attention.head_count", 1, 1 << 16)
        kv_heads = self.whole("attention.head_count_kv", 1, heads, heads)
        head = self.whole("attention.key_length", 1, 1 << 16, max(1, width // heads))
        self.require_equal("attention.value_length", head)
        if not self.row.recurrent:
            self.require_equal("rope.dimension_count", head)
        if heads % kv_heads:
            raise self.refusal(
                Sentence(
                    "attention.head_count ({heads}) is not a multiple of head_count_kv "
                    "({kv_heads})",
                    heads=heads,
                    kv_heads=kv_heads,
                )
            )
        if self.header.own("final_logit_softcapping", 0):
            raise self.refusal(
                Sentence("final_logit_softcapping is set, which training does not support")
            )
        beyond = self.whole("nextn_predict_layers", 0, _MOST_LAYERS, 0)
        layers = self.whole("block_count", 1 + beyond, _MOST_LAYERS) - beyond
        window = self.whole("attention.sliding_window", 0, 1 << 31, 0) if self.row.window else 0
        experts = self.experts()
        context = self.whole("context_length", 1, 1 << 31)
        shape = Shape(
            layers=layers,
            width=width,
            inner=self.whole("feed_forward_length", 1, 1 << 24, experts.inner if experts else None),
            heads=heads,
            kv_heads=kv_heads,
            head=head,
            context=context,
            eps=self.real("attention.layer_norm_rms_epsilon", 1.0),
            rope=self.rope(head, context),
            kinds=self.kinds(layers, layers + beyond, window),
            window=window,
            experts=experts,
            delta=self.delta() if self.row.recurrent else None,
        )
        self.require_known_tensors(layers)
        return shape

    # --- what cannot be ----------------------------------------------------------------------

    def require_equal(self, key: str, head: int) -> None:
        if (other := self.whole(key, 0, 1 << 31, head)) != head:
            raise self.refusal(
                Sentence(
                    "{key} is {other} and the head size is {head}, but llama.cpp requires them to "
                    "be equal",
                    key=key,
                    other=other,
                    head=head,
                )
            )

    def require_known_tensors(self, layers: int) -> None:
        known = self.row.knows
        strange = sorted(name for name in self.header.tensors if not known(name, layers))
        if strange:
            raise ModelError(
                "the model {path} contains the tensor {tensor}, which is not supported for the "
                "architecture {architecture}; choose another GGUF",
                path=self.path,
                tensor=strange[0][:60],
                architecture=self.row.name,
            )

    # --- parts -------------------------------------------------------------------------------

    def experts(self) -> Experts | None:
        count = self.whole("expert_count", 0, _MOST_EXPERTS, 0)
        if not self.row.experts:
            if count:
                raise self.refusal(
                    Sentence(
                        "expert_count is {experts}, but this architecture is supported only "
                        "without experts",
                        experts=count,
                    )
                )
            return None
        count = self.whole("expert_count", 1, _MOST_EXPERTS)
        used = self.whole("expert_used_count", 1, count)
        return Experts(
            count,
            used,
            inner=self.whole("expert_feed_forward_length", 1, 1 << 24),
            shared=self.whole("expert_shared_feed_forward_length", 0, 1 << 24, 0),
        )

    def kinds(self, layers: int, blocks: int, window: int) -> tuple[LayerKind, ...]:
        """Return what each layer mixes tokens with."""
        if self.row.recurrent:
            interval = self.whole("full_attention_interval", 1, _MOST_LAYERS, 4)
            flags = [(layer + 1) % interval != 0 for layer in range(layers)]
            return self.marked("attention.recurrent_layers", blocks, flags, RECURRENT)
        if not window:
            return (FULL,) * layers
        key = "attention.sliding_window_pattern"
        listed = isinstance(self.header.own(key), Listed)
        pattern = 6 if listed else self.whole(key, 0, _MOST_LAYERS, 6)
        flags = [pattern == 0 or layer % pattern < pattern - 1 for layer in range(layers)]
        return self.marked(key, blocks, flags, WINDOW)

    def marked(
        self, key: str, blocks: int, flags: list[bool], kind: LayerKind
    ) -> tuple[LayerKind, ...]:
        """Return `kind` where a flag is set; a list at `key`, one entry a block, goes first."""
        if isinstance(listed := self.header.own(key), Listed):
            if len(listed.values) != blocks:
                raise self.refusal(
                    Sentence(
                        "{key} has {count} entries for {blocks} blocks",
                        key=key,
                        count=listed.count,
                        blocks=blocks,
                    )
                )
            flags = [bool(value) for value in listed.values[: len(flags)]]
        return tuple(kind if flag else FULL for flag in flags)

    def delta(self) -> DeltaNet:
        head = self.whole("ssm.state_size", 1, 1 << 16)
        key_heads = self.whole("ssm.group_count", 1, 1 << 16)
        value_heads = self.whole("ssm.time_step_rank", 1, 1 << 16)
        inner = self.whole("ssm.inner_size", 1, 1 << 24)
        if value_heads % key_heads or inner != value_heads * head:
            raise self.refusal(
                Sentence(
                    "ssm.inner_size is {inner}, which does not match {value_heads} value heads of "
                    "size {head} and {key_heads} key heads",
                    inner=inner,
                    value_heads=value_heads,
                    head=head,
                    key_heads=key_heads,
                )
            )
        return DeltaNet(key_heads, value_heads, head, self.whole("ssm.conv_kernel", 2, 1 << 10))

    def rope(self, head: int, context: int) -> Rope:
        kind, factor = self.scaling()
        theta = self.real("rope.freq_base", 1e12, 10_000.0)
        size = self.whole("rope.dimension_count", 2, head, head)
        if size % 2:
            raise self.refusal(
                Sentence("rope.dimension_count is {size}, but must be even", size=size)
            )
        return Rope(
            theta=theta,
            theta_window=self.real("rope.freq_base_swa", 1e12, 10_000.0),
            kind="default" if kind == "none" else kind,
            factor=factor,
            original=self.whole("rope.scaling.original_context_length", 1, 1 << 31, context),
            attention=self.real("rope.scaling.attn_factor", 1e6, 1.0),
            size=size,
        )

    def scaling(self) -> tuple[Any, float]:
        """Return the kind of rope scaling and its factor.

        A factor without a kind is linear, and 0 means none.
        """
        kind = self.header.own("rope.scaling.type", "linear")
        if kind not in _SCALINGS:
            raise self.refusal(
                Sentence(
                    "rope.scaling.type is {kind}, but only {known} are supported",
                    kind=repr(kind),
                    known=", ".join(_SCALINGS),
                )
            )
        name = "rope.scaling.factor"
        name = name if self.header.own(name) is not None else "rope.scale_linear"
        factor = self.header.own(name, 0.0)
        stretch = self.real(name, 1e6, 1.0) if factor != 0 else 1.0
        if kind == "none" or (kind == "linear" and stretch == 1):
            return "none", 1.0
        if kind == "yarn" and ROTARY_FACTORS in self.header.tensors:
            raise self.refusal(
                Sentence(
                    "rope.scaling.type is yarn and frequency factors are also set, which is not "
                    "supported"
                )
            )
        return kind, stretch

    # --- values ------------------------------------------------------------------------------

    def whole(self, key: str, least: int, most: int, default: int | None = None) -> int:
        value = self.value(key, default)
        if type(value) is not int or not least <= value <= most:
            raise self.refusal(
                Sentence(
                    "{key} is {value}, but must be a whole number from {least:,} to {most:,}",
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
                    "{key} is {value}, but must be a number above 0 and at most {most:g}",
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
            "cannot use the model {path}: unsupported header ({why}); choose another GGUF",
            path=self.path,
            why=why,
        )
