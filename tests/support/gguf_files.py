"""Tiny random GGUF files in the real format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def byte_tokens() -> list[str]:
    """Return the 256 characters that stand for single bytes in GPT-2 style vocabularies."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(value) if value in printable else chr(next(spare)) for value in range(256)]


def add_byte_vocabulary(writer: gguf.GGUFWriter, least: int = 0) -> int:
    """Add a vocabulary of single bytes and Qwen's control tokens; return its size.

    It is filled up to `least` tokens, and to a multiple of 32.
    """
    tokens = [*byte_tokens(), *CONTROL]
    spare = max(-len(tokens) % 32, least - len(tokens))
    tokens += [f"[{number}]" for number in range(spare)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    control = gguf.TokenType.CONTROL
    writer.add_token_types([control if name in CONTROL else 1 for name in tokens])
    writer.add_token_merges(["t h"])  # llama.cpp requires the list; "th" itself is not a token
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    return len(tokens)


def write_tiny(
    path: Path,
    *,
    architecture: str = "qwen3",
    quantised: bool = False,
    tied: bool = True,
    width: int = 64,
    head: int = 40,
    heads: int = 2,
    heads_kv: int = 1,
    layers: int = 2,
    inner: int = 96,
    context: int = 512,
    seed: int = 7,
    scale: float = 1.0,
    pooling: int = 0,
    vocabulary: int = 0,
    template: str | Sequence[Mapping[str, str]] = "",
    keys: Mapping[str, Any] | None = None,
) -> Path:
    """Write a random model with a vocabulary of single bytes, at least `vocabulary` tokens.

    With `quantised` the matrices are Q8_0 (their rows must then be a multiple of 32), else F16. `keys`
    are written to the header last (a `gguf.GGUFValue`, or a value whose type is inferred; None removes
    one).
    """
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(f"tiny-{architecture}")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads_kv)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1_000_000.0)
    if pooling:
        writer.add_pooling_type(gguf.PoolingType(pooling))
    tokens = add_byte_vocabulary(writer, vocabulary)
    if template:
        writer.add_chat_template(template)
    header = writer.kv_data[0]
    for key, value in (keys or {}).items():
        header.pop(key, None)
        if isinstance(value, gguf.GGUFValue):
            header[key] = value
        elif value is not None:
            kind = gguf.GGUFValueType.get_type(value)
            if kind == gguf.GGUFValueType.INT32:
                kind = gguf.GGUFValueType.UINT32
            header[key] = gguf.GGUFValue(value, kind)

    def matrix(name: str, rows: int, columns: int) -> None:
        values = random.normal(0, scale / columns**0.5, (rows, columns)).astype(np.float32)
        kind = gguf.GGMLQuantizationType.Q8_0 if quantised else gguf.GGMLQuantizationType.F16
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)

    def vector(name: str, size: int, mean: float = 1.0) -> None:
        writer.add_tensor(name, random.normal(mean, 0.1, size).astype(np.float32))

    matrix("token_embd.weight", tokens, width)
    if not tied:
        matrix("output.weight", tokens, width)
    vector("output_norm.weight", width)
    for layer in range(layers):
        block: dict[str, Any] = {
            "attn_q": (heads * head, width),
            "attn_k": (heads_kv * head, width),
            "attn_v": (heads_kv * head, width),
            "attn_output": (width, heads * head),
            "ffn_gate": (inner, width),
            "ffn_up": (inner, width),
            "ffn_down": (width, inner),
        }
        for name, shape in block.items():
            matrix(f"blk.{layer}.{name}.weight", *shape)
        vector(f"blk.{layer}.attn_norm.weight", width)
        vector(f"blk.{layer}.ffn_norm.weight", width)
        if architecture == "qwen3":
            vector(f"blk.{layer}.attn_q_norm.weight", head)
            vector(f"blk.{layer}.attn_k_norm.weight", head)
        elif architecture == "qwen2":
            for name in ("attn_q", "attn_k", "attn_v"):
                vector(f"blk.{layer}.{name}.bias", block[name][0], 0.0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_lora(
    path: Path,
    *,
    architecture: str = "qwen3",
    rank: int = 4,
    scale: float = 0.02,
    seed: int = 1,
    alpha: Any = 8.0,
    tensors: dict[str, np.ndarray] | None = None,
    keys: dict[str, Any] | None = None,
) -> Path:
    """Write a random LoRA for the queries of `write_tiny`'s two layers, or of other `tensors`.

    `keys` are added as they are (a string, or an int as 32 bits); `alpha` may be a float32 or, to be
    wrong, a numpy float64.
    """
    random = np.random.default_rng(seed)
    if tensors is None:
        tensors = {}
        for layer in range(2):
            name = f"blk.{layer}.attn_q.weight.lora_"
            tensors[f"{name}a"] = random.normal(0, scale, (rank, 64)).astype(np.float16)
            tensors[f"{name}b"] = random.normal(0, scale, (80, rank)).astype(np.float16)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type("adapter")
    for key, value in {"adapter.type": "lora", **(keys or {})}.items():
        writer.add_string(key, value) if isinstance(value, str) else writer.add_uint32(key, value)
    if isinstance(alpha, np.float64):
        writer.add_float64("adapter.lora.alpha", float(alpha))
    else:
        writer.add_float32("adapter.lora.alpha", alpha)
    for name, value in tensors.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
