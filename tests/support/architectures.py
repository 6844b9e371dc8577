"""Random models of every architecture, as llama.cpp's converter would write them; two to four layers.

Each has the real proportions of a published model: head sizes, grouped heads, experts, sliding windows,
recurrent layers. The vocabulary is single bytes. Written independently of
`agent/llama/gguf/architectures.py`, so that the tests compare what llama.cpp computes from a file with
what torch computes from the same one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tests.support.gguf_files import add_byte_vocabulary


@dataclass(frozen=True, slots=True)
class Like:
    """The dimensions of a published model, at a small depth; `keys` are further header values.

    With `pieces` the vocabulary is SentencePiece's with these pieces, else single bytes.
    """

    architecture: str
    width: int
    inner: int
    heads: int
    kv_heads: int
    head: int
    layers: int = 2
    theta: float = 1e6
    tied: bool = True
    keys: Mapping[str, Any] = field(default_factory=dict)
    pieces: tuple[str, ...] = ()


MODELS = {
    "SmolLM2-135M": Like("llama", 576, 1536, 9, 3, 64, theta=1e5),
    "Llama-3.2-1B": Like("llama", 2048, 8192, 32, 8, 64, theta=5e5),
    "Mistral-Nemo": Like("llama", 1280, 3584, 8, 2, 128, tied=False),
    "Qwen2.5-0.5B": Like("qwen2", 896, 4864, 14, 2, 64),
    "Qwen3-0.6B": Like("qwen3", 1024, 3072, 16, 8, 128),
    "Qwen3-30B-A3B": Like(
        "qwen3moe", 1024, 3072, 16, 2, 128, tied=False,
        keys={"expert_count": 16, "expert_used_count": 4, "expert_feed_forward_length": 384},
    ),
    "Gemma-3-1B": Like(
        "gemma3", 1152, 6912, 4, 1, 256, layers=4,
        # A window shorter than the tests' texts, or it would not be seen.
        keys={"attention.sliding_window": 24, "attention.sliding_window_pattern": 2},
    ),
    "Gemma-3-4B": Like(
        "gemma3", 1280, 5120, 4, 2, 256, layers=3,
        keys={"attention.sliding_window": 16, "rope.scaling.type": "linear",
              "rope.scaling.factor": 8.0, "attention.sliding_window_pattern": [True, False, True]},
    ),
    "Qwen3.5-0.8B": Like(
        "qwen35", 1024, 3584, 8, 2, 256, layers=4, theta=1e7,
        keys={"rope.dimension_count": 64, "rope.dimension_sections": [11, 11, 10, 0],
              "full_attention_interval": 4, "ssm.conv_kernel": 4, "ssm.state_size": 128,
              "ssm.group_count": 16, "ssm.time_step_rank": 16, "ssm.inner_size": 2048},
    ),
    "Qwen3.5-4B": Like(
        "qwen35", 1280, 2560, 8, 2, 256, layers=4, theta=1e7, tied=False,
        # Twice as many value heads as key heads: their order differs between GGUF and torch.
        keys={"rope.dimension_count": 64, "rope.dimension_sections": [11, 11, 10, 0],
              "full_attention_interval": 2, "ssm.conv_kernel": 4, "ssm.state_size": 128,
              "ssm.group_count": 4, "ssm.time_step_rank": 8, "ssm.inner_size": 1024},
    ),
    "Qwen3.5-35B-A3B": Like(
        "qwen35moe", 1024, 512, 8, 2, 256, layers=4, theta=1e7, tied=False,
        keys={"rope.dimension_count": 64, "rope.dimension_sections": [11, 11, 10, 0],
              "full_attention_interval": 4, "ssm.conv_kernel": 4, "ssm.state_size": 128,
              "ssm.group_count": 4, "ssm.time_step_rank": 8, "ssm.inner_size": 1024,
              "expert_count": 16, "expert_used_count": 4, "expert_feed_forward_length": 256,
              "expert_shared_feed_forward_length": 256},
    ),
}  # fmt: skip
"""By the name of the model whose proportions they have."""

SMALL = {
    "llama": Like("llama", 64, 96, 4, 2, 32),
    "qwen2": Like("qwen2", 64, 96, 4, 2, 16),
    "qwen3": Like("qwen3", 64, 96, 4, 2, 32),
    "qwen3moe": Like(
        "qwen3moe", 64, 96, 4, 2, 32,
        keys={"expert_count": 8, "expert_used_count": 2, "expert_feed_forward_length": 32},
    ),
    "gemma3": Like(
        "gemma3", 64, 96, 4, 2, 32, layers=3,
        keys={"attention.sliding_window": 12, "attention.sliding_window_pattern": 2},
    ),
    "qwen35": Like(
        "qwen35", 64, 96, 4, 2, 32, layers=4,
        keys={"rope.dimension_count": 16, "rope.dimension_sections": [3, 3, 2, 0],
              "full_attention_interval": 2, "ssm.conv_kernel": 4, "ssm.state_size": 32,
              "ssm.group_count": 2, "ssm.time_step_rank": 4, "ssm.inner_size": 128},
    ),
    "qwen35moe": Like(
        "qwen35moe", 64, 96, 4, 2, 32, layers=4,
        keys={"rope.dimension_count": 16, "rope.dimension_sections": [3, 3, 2, 0],
              "full_attention_interval": 2, "ssm.conv_kernel": 4, "ssm.state_size": 32,
              "ssm.group_count": 2, "ssm.time_step_rank": 4, "ssm.inner_size": 128,
              "expert_count": 8, "expert_used_count": 2, "expert_feed_forward_length": 32,
              "expert_shared_feed_forward_length": 32},
    ),
}  # fmt: skip
"""One of each architecture, small enough for a training in a test."""


def small(architecture: str, **changes: Any) -> Like:
    """Return the small model of an architecture; `keys` are added to its own."""
    like = SMALL[architecture]
    return replace(like, **changes | {"keys": {**like.keys, **changes.get("keys", {})}})


def write_like(
    path: Path, like: Like, *, template: str = "", seed: int = 7, context: int = 512
) -> Path:
    """Write a random model with the dimensions of `like`; matrices are F16."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, like.architecture)
    tokens = _write_header(writer, like, context, template)
    recurrent, gemma = "ssm.state_size" in like.keys, like.architecture == "gemma3"

    def matrix(name: str, *shape: int) -> None:
        values = random.normal(0, 1 / shape[-1] ** 0.5, shape)
        writer.add_tensor(name, values.astype(np.float16))

    def vector(name: str, size: int, mean: float = 1.0) -> None:
        writer.add_tensor(name, random.normal(mean, 0.1, size).astype(np.float32))

    def exact(name: str, values: np.ndarray) -> None:
        writer.add_tensor(name, values.astype(np.float32))

    matrix("token_embd.weight", tokens, like.width)
    if not like.tied:
        matrix("output.weight", tokens, like.width)
    # Gemma scales its embeddings: tied to them, wide random ones would predict the token itself.
    vector("output_norm.weight", like.width, 0.5 if gemma else 1.0)
    for layer in range(like.layers):
        at = f"blk.{layer}"
        vector(f"{at}.attn_norm.weight", like.width)
        interval = like.keys.get("full_attention_interval", 1)
        if recurrent and (layer + 1) % interval:
            keys, heads = like.keys["ssm.group_count"], like.keys["ssm.time_step_rank"]
            size, inner = like.keys["ssm.state_size"], like.keys["ssm.inner_size"]
            mixed = 2 * keys * size + inner
            matrix(f"{at}.attn_qkv.weight", mixed, like.width)
            matrix(f"{at}.attn_gate.weight", inner, like.width)
            matrix(f"{at}.ssm_alpha.weight", heads, like.width)
            matrix(f"{at}.ssm_beta.weight", heads, like.width)
            exact(f"{at}.ssm_conv1d.weight", random.normal(0, 0.5, (mixed, 4)))
            exact(f"{at}.ssm_a", -random.uniform(0.02, 2, heads))
            exact(f"{at}.ssm_dt.bias", random.normal(0, 1, heads))
            vector(f"{at}.ssm_norm.weight", size)
            matrix(f"{at}.ssm_out.weight", like.width, inner)
        else:
            gated = 2 if recurrent else 1
            matrix(f"{at}.attn_q.weight", gated * like.heads * like.head, like.width)
            matrix(f"{at}.attn_k.weight", like.kv_heads * like.head, like.width)
            matrix(f"{at}.attn_v.weight", like.kv_heads * like.head, like.width)
            matrix(f"{at}.attn_output.weight", like.width, like.heads * like.head)
            if like.architecture not in ("llama", "qwen2"):
                vector(f"{at}.attn_q_norm.weight", like.head)
                vector(f"{at}.attn_k_norm.weight", like.head)
            if like.architecture == "qwen2":
                vector(f"{at}.attn_q.bias", like.heads * like.head, 0.0)
                vector(f"{at}.attn_k.bias", like.kv_heads * like.head, 0.0)
                vector(f"{at}.attn_v.bias", like.kv_heads * like.head, 0.0)
        if not recurrent:
            vector(f"{at}.ffn_norm.weight", like.width)
        if recurrent or gemma:
            vector(f"{at}.post_attention_norm.weight", like.width)
        if gemma:
            vector(f"{at}.post_ffw_norm.weight", like.width)
        if "expert_count" in like.keys:
            count, inner = like.keys["expert_count"], like.keys["expert_feed_forward_length"]
            exact(f"{at}.ffn_gate_inp.weight", random.normal(0, 0.3, (count, like.width)))
            matrix(f"{at}.ffn_gate_exps.weight", count, inner, like.width)
            matrix(f"{at}.ffn_up_exps.weight", count, inner, like.width)
            matrix(f"{at}.ffn_down_exps.weight", count, like.width, inner)
            if shared := like.keys.get("expert_shared_feed_forward_length"):
                exact(f"{at}.ffn_gate_inp_shexp.weight", random.normal(0, 0.3, like.width))
                matrix(f"{at}.ffn_gate_shexp.weight", shared, like.width)
                matrix(f"{at}.ffn_up_shexp.weight", shared, like.width)
                matrix(f"{at}.ffn_down_shexp.weight", like.width, shared)
        else:
            matrix(f"{at}.ffn_gate.weight", like.inner, like.width)
            matrix(f"{at}.ffn_up.weight", like.inner, like.width)
            matrix(f"{at}.ffn_down.weight", like.width, like.inner)
    if "rope_factors" in like.keys:
        exact("rope_freqs.weight", np.array(like.keys["rope_factors"]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_header(writer: gguf.GGUFWriter, like: Like, context: int, template: str) -> int:
    """Write everything but the tensors; return the size of the vocabulary."""
    writer.add_name(f"random-{like.architecture}")
    writer.add_context_length(context)
    writer.add_embedding_length(like.width)
    writer.add_block_count(like.layers)
    writer.add_feed_forward_length(like.inner)
    writer.add_head_count(like.heads)
    writer.add_head_count_kv(like.kv_heads)
    writer.add_key_length(like.head)
    writer.add_value_length(like.head)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(like.theta)
    for key, value in like.keys.items():
        if key == "rope_factors":
            continue
        name = f"{like.architecture}.{key}"
        if isinstance(value, list):
            writer.add_array(name, value)
        elif isinstance(value, str):
            writer.add_string(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        else:
            writer.add_uint32(name, value)
    if template:
        writer.add_chat_template(template)
    if like.pieces:
        return _write_pieces(writer, like.pieces)
    return add_byte_vocabulary(writer)


def _write_pieces(writer: gguf.GGUFWriter, pieces: Sequence[str]) -> int:
    """Write a SentencePiece vocabulary: control tokens, single bytes, letters and `pieces`."""
    kinds = gguf.TokenType
    letters = [chr(code) for code in range(33, 127)]
    tokens = [
        ("<unk>", kinds.UNKNOWN),
        *((name, kinds.CONTROL) for name in ("<s>", "</s>", "[INST]", "[/INST]")),
        *((f"<0x{byte:02X}>", kinds.BYTE) for byte in range(256)),
        *((piece, kinds.NORMAL) for piece in ("▁", *letters, *pieces)),
    ]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _ in tokens])
    # The longer a piece, the sooner it is joined.
    writer.add_token_scores([float(len(text)) for text, _ in tokens])
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    return len(tokens)
