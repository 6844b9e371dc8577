"""The model architectures that can be served and trained, one row each.

A row says how a GGUF of this architecture and the transformers model of the same weights correspond:
the names of tensors, the order of their rows, the values stored another way, what the header may
describe (experts, sliding windows, recurrent layers) and what an adapter may change. The header check
(`agent/llama/gguf/shape_reader.py`), the base loader (`trainer/fit/model/base_model.py`), the adapter
export (`trainer/adapters/lora_to_gguf.py`) and the docs read it. To add an architecture, add a row here
and one in `tests/support/architectures.py`.

Source: llama.cpp's `conversion/`, which says how each converter changes tensors, and `src/models/`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from agent.llama.gguf.model_shape import Shape

Order = npt.NDArray[np.int64]
"""For each row (or column) of the GGUF's matrix, its index in the torch matrix."""
StorageTransform = Literal["plus one", "minus exp"]
"""How a GGUF stores a value that torch has as w: as 1 + w, or as -exp(w)."""

_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+?)(\.weight|\.bias)?\Z")
_BLOCK = re.compile(r"blk\.(\d+)\.(.+?)(\.weight|\.bias)?\Z")
_OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
ROTARY_FACTORS = "rope_freqs.weight"
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
_DELTA_NET = {
    "linear_attn.in_proj_qkv": "attn_qkv",
    "linear_attn.in_proj_z": "attn_gate",
    "linear_attn.in_proj_a": "ssm_alpha",
    "linear_attn.in_proj_b": "ssm_beta",
    "linear_attn.out_proj": "ssm_out",
    "linear_attn.conv1d": "ssm_conv1d",
    "linear_attn.norm": "ssm_norm",
    "linear_attn.A_log": "ssm_a",
    "linear_attn.dt_bias": "ssm_dt.bias",
}
_ATTENTION_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
_DENSE_TARGETS = (*_ATTENTION_TARGETS, "gate_proj", "up_proj", "down_proj")
_DELTA_TARGETS = ("in_proj_qkv", "in_proj_z", "in_proj_a", "in_proj_b", "out_proj")


@dataclass(frozen=True, slots=True)
class Architecture:
    """A row: how the GGUF's tensors and those of a transformers model correspond.

    `name` is the GGUF's `general.architecture`, `models` what people call them, `model_class` a class
    below `transformers.models`. `layer` maps the parameters of a layer to GGUF names, both without
    number and suffix; a parameter in `joined` consists of several tensors, one after the other in its
    second dimension. `targets` are the matrices that an adapter may change. `rows` and `columns` give
    the order of a matrix's rows and columns where the GGUF's differs from torch's, `stored` the
    parameters whose values differ. `config` returns what the transformers config needs besides the
    common dimensions, from the shape and the names of the file's tensors.
    """

    name: str
    models: str
    model_class: str
    layer: Mapping[str, str]
    targets: tuple[str, ...] = _DENSE_TARGETS
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: Mapping[str, Callable[[Shape], Order]] = field(default_factory=dict)
    columns: Mapping[str, Callable[[Shape], Order]] = field(default_factory=dict)
    stored: Mapping[str, StorageTransform] = field(default_factory=dict)
    config: Callable[[Shape, Set[str]], dict[str, Any]] = lambda shape, tensors: {}
    experts: bool = False
    """Whether the header describes experts."""
    window: bool = False
    """Whether some layers attend to a sliding window only."""
    recurrent: bool = False
    """Whether some layers are a Gated DeltaNet, and positions rotate only a part of each head."""

    def gguf_names(self, key: str) -> tuple[str, ...]:
        """Return the GGUF names of a torch parameter ("blk.0.attn_q.weight"); none if it has none.

        There are several for a parameter in `joined`.
        """
        found = _LAYER.match(key)
        if found is None:
            return (_OUTSIDE[key],) if key in _OUTSIDE else ()
        number, leaf, suffix = found.groups("")
        names = self.joined.get(leaf) or ((self.layer[leaf],) if leaf in self.layer else ())
        return tuple(f"blk.{number}.{name}{suffix}" for name in names)

    def knows(self, tensor: str, layers: int) -> bool:
        """Whether a tensor of the GGUF is part of the model, or of a block beyond its `layers`.

        Blocks beyond predict further tokens; neither llama.cpp nor torch computes with them here.
        """
        if (found := _BLOCK.match(tensor)) is None:
            return tensor in _OUTSIDE.values() or tensor == ROTARY_FACTORS
        number, leaf, suffix = found.groups("")
        known = {*self.layer.values(), *(name for names in self.joined.values() for name in names)}
        return int(number) >= layers or leaf in known or f"{leaf}{suffix}" in known

    def row_order(self, key: str, shape: Shape) -> Order | None:
        """Return the order of a torch parameter's rows in the GGUF; None if it is the same."""
        order = self.rows.get(_leaf(key))
        return order(shape) if order else None

    def column_order(self, key: str, shape: Shape) -> Order | None:
        """Return the order of a torch parameter's columns in the GGUF; None if it is the same."""
        order = self.columns.get(_leaf(key))
        return order(shape) if order else None

    def stored_as(self, key: str) -> StorageTransform | None:
        """Return how the GGUF stores the values of a torch parameter; None if as they are."""
        return self.stored.get("norm" if key == "model.norm.weight" else _leaf(key))


def _leaf(key: str) -> str:
    found = _LAYER.match(key)
    return found[2] if found else ""


def _interleaved(heads: Callable[[Shape], int]) -> Callable[[Shape], Order]:
    """Return the order of q's or k's rows where llama.cpp rotates neighbouring dimensions.

    Torch rotates dimension i of a head with i + head/2. Source: `LlamaModel.permute` of llama.cpp's
    converter.
    """

    def order(shape: Shape) -> Order:
        rows = np.arange(heads(shape) * shape.head).reshape(heads(shape), 2, shape.head // 2)
        return rows.swapaxes(1, 2).reshape(-1)

    return order


def _tiled(*, size: bool, after_keys: bool = False) -> Callable[[Shape], Order]:
    """Return the order of a DeltaNet's value heads, which llama.cpp has tiled over the key heads.

    Torch groups them by key head. With `size` each head has that many rows, else one; `after_keys`
    leaves the rows of the queries and keys before them. Source: `_LinearAttentionVReorderBase` of
    llama.cpp's converter.
    """

    def order(shape: Shape) -> Order:
        delta = shape.delta
        assert delta is not None
        per, rows = delta.value_heads // delta.key_heads, delta.head if size else 1
        values = np.arange(delta.value_heads * rows).reshape(delta.key_heads, per, rows)
        tiled = values.swapaxes(0, 1).reshape(-1)
        before = 2 * delta.key_heads * delta.head if after_keys else 0
        return np.concatenate([np.arange(before), before + tiled])

    return order


def _biases(_shape: Shape, tensors: Set[str]) -> dict[str, Any]:
    return {
        "attention_bias": "blk.0.attn_q.bias" in tensors,
        "mlp_bias": "blk.0.ffn_up.bias" in tensors,
    }


def _qwen3(_shape: Shape, tensors: Set[str]) -> dict[str, Any]:
    return {"attention_bias": "blk.0.attn_q.bias" in tensors, "use_sliding_window": False}


def _qwen3moe(shape: Shape, tensors: Set[str]) -> dict[str, Any]:
    assert shape.experts is not None
    return _qwen3(shape, tensors) | {
        "num_experts": shape.experts.count,
        "num_experts_per_tok": shape.experts.used,
        "moe_intermediate_size": shape.experts.inner,
        "norm_topk_prob": True,
    }


def _qwen35moe(shape: Shape, tensors: Set[str]) -> dict[str, Any]:
    assert shape.experts is not None
    return _qwen35(shape, tensors) | {
        "num_experts": shape.experts.count,
        "num_experts_per_tok": shape.experts.used,
        "moe_intermediate_size": shape.experts.inner,
        "shared_expert_intermediate_size": shape.experts.shared,
    }


def _gemma3(shape: Shape, _tensors: Set[str]) -> dict[str, Any]:
    # The 27B scales attention by its width over the heads, which is not its head size.
    largest = shape.layers == 62
    return {
        "layer_types": list(shape.kinds),
        "sliding_window": shape.window or shape.context,
        "query_pre_attn_scalar": shape.width // shape.heads if largest else shape.head,
    }


def _qwen35(shape: Shape, _tensors: Set[str]) -> dict[str, Any]:
    assert shape.delta is not None
    return {
        "layer_types": list(shape.kinds),
        "linear_conv_kernel_dim": shape.delta.kernel,
        "linear_key_head_dim": shape.delta.head,
        "linear_value_head_dim": shape.delta.head,
        "linear_num_key_heads": shape.delta.key_heads,
        "linear_num_value_heads": shape.delta.value_heads,
    }


_EXPERTS = {
    "mlp.experts.gate_up_proj": ("ffn_gate_exps.weight", "ffn_up_exps.weight"),
    "mlp.experts.down_proj": ("ffn_down_exps.weight",),
}
_DELTA_ROWS = {
    "linear_attn.in_proj_qkv": _tiled(size=True, after_keys=True),
    "linear_attn.conv1d": _tiled(size=True, after_keys=True),
    "linear_attn.in_proj_z": _tiled(size=True),
    "linear_attn.in_proj_a": _tiled(size=False),
    "linear_attn.in_proj_b": _tiled(size=False),
    "linear_attn.A_log": _tiled(size=False),
    "linear_attn.dt_bias": _tiled(size=False),
}
_DELTA_COLUMNS = {"linear_attn.out_proj": _tiled(size=True)}
_DELTA_STORED: dict[str, StorageTransform] = {
    **dict.fromkeys(("norm", "input_layernorm", "post_attention_layernorm", *_QK_NORM), "plus one"),
    "linear_attn.A_log": "minus exp",
}

_ROWS = (
    Architecture(
        "llama",
        "Llama 3, Mistral, SmolLM2",
        "llama.LlamaForCausalLM",
        _DENSE,
        rows={
            "self_attn.q_proj": _interleaved(lambda shape: shape.heads),
            "self_attn.k_proj": _interleaved(lambda shape: shape.kv_heads),
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
    Architecture("qwen3", "Qwen3", "qwen3.Qwen3ForCausalLM", {**_DENSE, **_QK_NORM}, config=_qwen3),
    Architecture(
        "qwen3moe",
        "Qwen3, mixture of experts (30B-A3B)",
        "qwen3_moe.Qwen3MoeForCausalLM",
        {
            **_ATTENTION,
            **_QK_NORM,
            "post_attention_layernorm": "ffn_norm",
            "mlp.gate": "ffn_gate_inp",
        },
        targets=_ATTENTION_TARGETS,
        joined=_EXPERTS,
        config=_qwen3moe,
        experts=True,
    ),
    Architecture(
        "gemma3",
        "Gemma 3",
        "gemma3.Gemma3ForCausalLM",
        {
            **_ATTENTION,
            **_QK_NORM,
            **_MLP,
            "post_attention_layernorm": "post_attention_norm",
            "pre_feedforward_layernorm": "ffn_norm",
            "post_feedforward_layernorm": "post_ffw_norm",
        },
        stored=dict.fromkeys(
            (
                "norm",
                "input_layernorm",
                "post_attention_layernorm",
                "pre_feedforward_layernorm",
                "post_feedforward_layernorm",
                *_QK_NORM,
            ),
            "plus one",
        ),
        config=_gemma3,
        window=True,
    ),
    Architecture(
        "qwen35",
        "Qwen3.5, Qwen3.6",
        "qwen3_5.Qwen3_5ForCausalLM",
        {
            **_ATTENTION,
            **_QK_NORM,
            **_MLP,
            **_DELTA_NET,
            "post_attention_layernorm": "post_attention_norm",
        },
        targets=(*_DENSE_TARGETS, *_DELTA_TARGETS),
        rows=_DELTA_ROWS,
        columns=_DELTA_COLUMNS,
        stored=_DELTA_STORED,
        config=_qwen35,
        recurrent=True,
    ),
    Architecture(
        "qwen35moe",
        "Qwen3.5, Qwen3.6, mixture of experts (35B-A3B)",
        "qwen3_5_moe.Qwen3_5MoeForCausalLM",
        {
            **_ATTENTION,
            **_QK_NORM,
            **_DELTA_NET,
            "post_attention_layernorm": "post_attention_norm",
            "mlp.gate": "ffn_gate_inp",
            "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
            "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
            "mlp.shared_expert.up_proj": "ffn_up_shexp",
            "mlp.shared_expert.down_proj": "ffn_down_shexp",
        },
        targets=(*_DENSE_TARGETS, *_DELTA_TARGETS),
        joined=_EXPERTS,
        rows=_DELTA_ROWS,
        columns=_DELTA_COLUMNS,
        stored=_DELTA_STORED,
        config=_qwen35moe,
        experts=True,
        recurrent=True,
    ),
)
ARCHITECTURES: Mapping[str, Architecture] = {row.name: row for row in _ROWS}
TARGETS = tuple(dict.fromkeys(name for row in _ROWS for name in row.targets))
"""Every matrix that some architecture's adapters may change."""
