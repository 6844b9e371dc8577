"""A model of Qwen3-0.6B's real shape with Qwen's real vocabulary and template, and random weights.

Vocabulary and template are read at test time from llama-cpp-python's source package, where llama.cpp
keeps them for its own tests; nothing of them is kept. Shape: the published config of Qwen3-0.6B.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
import pytest

WIDTH, INNER, LAYERS, HEADS, KV_HEADS, HEAD, CONTEXT = 1024, 3072, 28, 16, 8, 128, 40_960
PARAMETERS = 596_049_920
OWN = {151657: "<tool_call>", 151658: "</tool_call>", 151665: "<tool_response>",
       151666: "</tool_response>", 151667: "<think>", 151668: "</think>"}  # fmt: skip
"""Tokens that Qwen3 has and the vocabulary file (Qwen2's) leaves unnamed or does not treat as text."""
_VOCABULARY = "vendor/llama.cpp/models/ggml-vocab-qwen2.gguf"
_TEMPLATES = "vendor/llama.cpp/models/templates"


@cache
def source_package(folder: Path) -> Path:
    """Return llama-cpp-python's source package, fetched into `folder`; skips the test without it."""
    name = "llama-cpp-python"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", name, "--quiet",
         "--disable-pip-version-check", "--dest", str(folder), f"{name}=={version(name)}"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    found = list(folder.glob("llama_cpp_python-*.tar.gz"))
    if not found:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"llama-cpp-python's source package cannot be had: {why}")
    return found[0]


def from_package(package: Path, name: str) -> bytes:
    """Return a file of the source package."""
    with tarfile.open(package) as archive:
        top = archive.next()
        assert top is not None
        file = archive.extractfile(f"{top.name.split('/')[0]}/{name}")
        assert file is not None
        return file.read()


def template(package: Path, name: str) -> str:
    """Return the chat template of a model, such as Qwen-Qwen3-0.6B."""
    return from_package(package, f"{_TEMPLATES}/{name}.jinja").decode("utf-8")


def write_real_shape(package: Path, path: Path) -> Path:
    """Write the model to `path`; its matrices are Q8_0 with random codes."""
    vocabulary = path.with_name("vocabulary.gguf")
    vocabulary.write_bytes(from_package(package, _VOCABULARY))
    reader = gguf.GGUFReader(vocabulary)
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_name("random weights in Qwen3-0.6B's shape")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1_000_000.0)
    tokens = list(reader.fields["tokenizer.ggml.tokens"].contents())
    types = list(reader.fields["tokenizer.ggml.token_type"].contents())
    for place, name in OWN.items():
        tokens[place], types[place] = name, int(gguf.TokenType.USER_DEFINED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(reader.fields["tokenizer.ggml.merges"].contents())
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_chat_template(template(package, "Qwen-Qwen3-0.6B"))
    random = np.random.default_rng(7)
    kind = gguf.GGMLQuantizationType.Q8_0

    def matrix(name: str, rows: int, columns: int) -> None:
        blocks = rows * columns // 32
        data = np.empty((blocks, 34), np.uint8)
        scale = np.float16(1 / 73 / columns**0.5)  # codes are even over ±127: their deviation is 73
        data[:, :2] = np.frombuffer(scale.tobytes(), np.uint8)
        codes = random.integers(-127, 128, (blocks, 32), np.int8)
        data[:, 2:] = codes.view(np.uint8)
        writer.add_tensor(name, data.reshape(rows, -1), raw_dtype=kind)

    def vector(name: str, size: int) -> None:
        writer.add_tensor(name, random.normal(1.0, 0.1, size).astype(np.float32))

    matrix("token_embd.weight", len(tokens), WIDTH)
    vector("output_norm.weight", WIDTH)
    for layer in range(LAYERS):
        for name, rows, columns in (
            ("attn_q", HEADS * HEAD, WIDTH),
            ("attn_k", KV_HEADS * HEAD, WIDTH),
            ("attn_v", KV_HEADS * HEAD, WIDTH),
            ("attn_output", WIDTH, HEADS * HEAD),
            ("ffn_gate", INNER, WIDTH),
            ("ffn_up", INNER, WIDTH),
            ("ffn_down", WIDTH, INNER),
        ):
            matrix(f"blk.{layer}.{name}.weight", rows, columns)
        for name, size in (("attn_norm", WIDTH), ("ffn_norm", WIDTH)):
            vector(f"blk.{layer}.{name}.weight", size)
        for name in ("attn_q_norm", "attn_k_norm"):
            vector(f"blk.{layer}.{name}.weight", HEAD)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    vocabulary.unlink()
    return path
