"""The model architectures that can be served and trained, one row each.

A row says how a GGUF of this architecture and the transformers model of the same weights correspond:
the names of tensors, the order of their rows, and what an adapter may change. The base loader
(`trainer/fit/base_model.py`), the adapter export (`trainer/adapters/gguf_lora.py`), the header check
(`agent/llama/model_shape.py`) and the docs read it. A further architecture is a row and its test.

Source: llama.cpp's `conversion/` (how each converter changes tensors) and gguf's tensor names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Order = npt.NDArray[np.int64]
"""For each row (or column) of the GGUF's matrix, its index in the torch matrix."""

_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)\Z")
_OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_ATTENTION = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
}
_QK_NORM = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
_MLP = {
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_DENSE = {**_ATTENTION, **_MLP, "post_attention_layernorm": "ffn_norm"}


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of a model.

    `head` is the size of an attention head, `eps` the epsilon of RMS norms, `theta` the base of the
    rotary frequencies. `stretch` divides positions; `scaling` is the kind of rope scaling ("none",
    "linear", or one that training does not support).
    """

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    head: int
    context: int
    eps: float
    theta: float
    stretch: float
    scaling: str

    def cache_bytes(self, context: int) -> int:
        """Return the bytes of the KV cache for `context` tokens (f16 keys and values)."""
        return context * self.layers * self.kv_heads * 2 * self.head * 2


@dataclass(frozen=True, slots=True)
class Architecture:
    """A row: how the GGUF's tensors and those of a transformers model correspond.

    `name` is the GGUF's `general.architecture`, `models` what people call them. `model_class` is a
    class below `transformers.models`. `layer` maps the modules of a layer to GGUF names without
    number and suffix. `rows` gives the order of a matrix's output rows where the GGUF's differs from
    torch's. `config` returns what the transformers config needs beyond the shape, from the shape and
    the names of the file's tensors.
    """

    name: str
    models: str
    model_class: str
    layer: Mapping[str, str]
    rows: Mapping[str, Callable[[Shape], Order]] = field(default_factory=dict)
    config: Callable[[Shape, Set[str]], dict[str, Any]] = lambda shape, tensors: {}

    def gguf_name(self, key: str) -> str | None:
        """Return the GGUF name of a torch parameter ("blk.0.attn_q.weight"); None if it has none."""
        if (found := _LAYER.match(key)) is None:
            return _OUTSIDE.get(key)
        name = self.layer.get(found[2])
        return f"blk.{found[1]}.{name}.{found[3]}" if name else None

    def row_order(self, key: str, shape: Shape) -> Order | None:
        """Return the order of the rows of a torch parameter in the GGUF; None if it is the same."""
        found = _LAYER.match(key)
        order = self.rows.get(found[2]) if found else None
        return order(shape) if order else None


def interleaved(heads: Callable[[Shape], int]) -> Callable[[Shape], Order]:
    """Return the order of q's or k's rows where llama.cpp rotates neighbouring dimensions.

    Torch rotates dimension i of a head with i + head/2. Source: `LlamaModel.permute` of llama.cpp's
    converter.
    """

    def order(shape: Shape) -> Order:
        rows = np.arange(heads(shape) * shape.head).reshape(heads(shape), 2, shape.head // 2)
        return rows.swapaxes(1, 2).reshape(-1)

    return order


def _biases(_shape: Shape, tensors: Set[str]) -> dict[str, Any]:
    return {
        "attention_bias": "blk.0.attn_q.bias" in tensors,
        "mlp_bias": "blk.0.ffn_up.bias" in tensors,
    }


_ROWS = (
    Architecture(
        "llama",
        "Llama, Mistral, SmolLM2",
        "llama.LlamaForCausalLM",
        _DENSE,
        rows={
            "self_attn.q_proj": interleaved(lambda shape: shape.heads),
            "self_attn.k_proj": interleaved(lambda shape: shape.kv_heads),
        },
        config=_biases,
    ),
    Architecture(
        "qwen2",
        "Qwen2, Qwen2.5",
        "qwen2.Qwen2ForCausalLM",
        _DENSE,
        config=lambda _shape, _tensors: {"use_sliding_window": False},
    ),
    Architecture(
        "qwen3",
        "Qwen3",
        "qwen3.Qwen3ForCausalLM",
        {**_DENSE, **_QK_NORM},
        config=lambda _shape, tensors: {
            "attention_bias": "blk.0.attn_q.bias" in tensors,
            "use_sliding_window": False,
        },
    ),
)
ARCHITECTURES: Mapping[str, Architecture] = {row.name: row for row in _ROWS}
