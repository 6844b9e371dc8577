"""Unusual model files: some that cannot be used, some that only look wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf

from tests.support.gguf_files import write_tiny

TALK = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
ROPE = "qwen3.rope"
Kind = gguf.GGUFValueType


def _value(value: Any, kind: gguf.GGUFValueType) -> gguf.GGUFValue:
    return gguf.GGUFValue(value, kind)


REFUSED_TEMPLATES: dict[str, tuple[str, str]] = {
    "a TypeError": (TALK.replace("'<|im_end|>\n'", "'<|im_end|>\n' + loop.index"), "TypeError"),
    "a division by zero": ("{{ 1 / 0 }}" + TALK, "ZeroDivisionError"),
    "recursion": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}" + TALK, "RecursionError"),
    "include": ("{% include 'other' %}" + TALK, "TypeError: no loader"),
    "a syntax error": ("{% for %}" + TALK, "cannot be parsed"),
    "an endless loop": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}" + TALK,
        "runs for more than",
    ),
    "a loop in a long talk": (
        "{% if messages|length > 70 %}{% for a in range(99999) %}{% for b in range(99999) %}"
        "{% endfor %}{% endfor %}{% endif %}" + TALK,
        "runs for more than",
    ),
    "all memory": (
        # At once: text that grows takes longer than the limit of time on a slow machine.
        "{% set x = '%2000000000d'|format(1) %}" + TALK,
        "of memory",
    ),
    "a flood": (
        "{% for a in range(99999) %}{{ 'x' * 100 }}{% endfor %}" + TALK,
        "produces more than",
    ),
    "a refusal": ("{{ raise_exception('not you') }}" + TALK, "rejects the conversation: not you"),
    "lost messages": ("{{ messages[-1].content }}", "does not include every message"),
    "rewritten messages": (TALK.replace("m['content']", "m['content']|replace('0', 'x')"), "every"),
}
REFUSED_HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "rope.dimension_count": ({f"{ROPE}.dimension_count": 32}, "rope.dimension_count is 32"),
    "a list of head counts": ({"qwen3.attention.head_count": [2, 2]}, "is a list of 2"),
    "no head count": ({"qwen3.attention.head_count": None}, "head_count is missing"),
    "NaN in eps": (
        {"qwen3.attention.layer_norm_rms_epsilon": float("nan")},
        "layer_norm_rms_epsilon is nan",
    ),
    "huge block_count": ({"qwen3.block_count": 4_000_000_000}, "block_count is 4000000000"),
    "more blocks than there are": ({"qwen3.block_count": 400}, "cannot load the model"),
    "block_count as a text": ({"qwen3.block_count": "two"}, "block_count is 'two'"),
    "the first shard": ({"split.no": 0, "split.count": 2}, "is one of 2 parts"),
    "the second shard": ({"split.no": 1, "split.count": 2}, "is one of 2 parts"),
    "an unknown rope scaling": ({f"{ROPE}.scaling.type": "spiral"}, "'spiral'"),
    "a rope scaling that only llama.cpp computes": (
        {f"{ROPE}.scaling.type": "longrope", f"{ROPE}.scaling.factor": 4.0},
        "'longrope'",
    ),
    "half a rotation": ({f"{ROPE}.dimension_count": 20}, "rope.dimension_count is 20"),
    "head counts that do not divide": (
        {"qwen3.attention.head_count": 3, "qwen3.attention.head_count_kv": 2},
        "not a multiple",
    ),
    "a head count per layer": ({"qwen3.attention.head_count_kv": [1, 1]}, "is a list of 2"),
    "experts": ({"qwen3.expert_count": 8, "qwen3.expert_used_count": 2}, "without experts"),
    "another architecture": ({"general.architecture": "spiral"}, "which is not supported"),
    "no vocabulary": ({"tokenizer.ggml.model": "spiral"}, "cannot load the model"),
}
HARMLESS: dict[str, str | list[dict[str, str]]] = {
    "generation": "{% generation %}{% endgeneration %}" + TALK,
    "generation around a reply": TALK.replace(
        "{% endfor %}", "{% generation %}{{ '' }}{% endgeneration %}{% endfor %}", 1
    ),
    "break": "{% for a in range(9) %}{% break %}{% endfor %}" + TALK,
    "continue": "{% for a in range(9) %}{% continue %}{% endfor %}" + TALK,
    "strftime_now": "{{ strftime_now('%d %b %Y') }}" + TALK,
    "tojson": "{{ 'ä<' | tojson(ensure_ascii=False) }}{{ {'b': 1} | tojson(indent=2) }}" + TALK,
    "eos_token": TALK.replace("'<|im_end|>\n'", "eos_token + '\n'"),
    "a bos_token that is none": "{{ bos_token + '' }}" + TALK,
    "tools that are none": "{% if tools is not none %}{{ tools | length / 0 }}{% endif %}" + TALK,
    "named templates": [
        {"name": "default", "template": TALK},
        {"name": "tool_use", "template": "{{ 1 / 0 }}"},
    ],
    "named templates without a default": [{"name": "tool_use", "template": TALK}],
}


def refused(folder: Path) -> dict[str, tuple[Callable[[], Path], str]]:
    """Return, by name, what writes each file that cannot be served, and words of its refusal."""

    def with_template(text: str) -> Callable[[], Path]:
        return lambda: write_tiny(folder / "template.gguf", template=text)

    def with_keys(keys: dict[str, Any]) -> Callable[[], Path]:
        return lambda: write_tiny(folder / "header.gguf", keys=keys)

    return {
        **{name: (with_template(text), said) for name, (text, said) in REFUSED_TEMPLATES.items()},
        **{name: (with_keys(keys), said) for name, (keys, said) in REFUSED_HEADERS.items()},
        "NaN in the weights": (lambda: _damaged(folder / "nan.gguf"), "it computes NaN"),
        "a path that is not UTF-8": (lambda: _misnamed(folder), "not valid UTF-8"),
    }


NAMES = (*REFUSED_TEMPLATES, *REFUSED_HEADERS, "NaN in the weights", "a path that is not UTF-8")


def _damaged(path: Path) -> Path:
    """A model with NaN in the norm that every token passes."""
    write_tiny(path)
    reader = gguf.GGUFReader(path, "r+")
    norm = next(tensor for tensor in reader.tensors if tensor.name == "output_norm.weight")
    norm.data[:] = float("nan")
    reader.data.flush()
    return path


def _misnamed(folder: Path) -> Path:
    path = folder / os.fsdecode(b"odd\xff.gguf")
    return write_tiny(folder / "plain.gguf").rename(path)


def ends_at_once(path: Path) -> Path:
    """A model whose reply to "hi" is over with its first token."""
    return write_tiny(path, keys={"tokenizer.ggml.eos_token_id": _first_token(path)})


def _first_token(path: Path) -> gguf.GGUFValue:
    """The token that the model's reply to nothing in particular begins with."""
    from agent.llama.engine import Engine
    from agent.llama.sampling_parameters import Sampling
    from agent.prompt.prompt import compose
    from memory.difference import Message

    with Engine.open(write_tiny(path.with_name("speaks.gguf"))) as engine:
        prompt = compose(engine, [Message("user", "hi")]).tokens
        made = engine.generate(prompt, Sampling(max_tokens=1, temperature=0)).run()
    return _value(made.tokens[0], Kind.UINT32)
