"""How the next token is drawn: the settings, and llama.cpp's chain of samplers made of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

PENALTY_WINDOW = 64


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn; temperature 0 takes the likeliest, seed 0 draws a fresh seed."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    seed: int = 0
    max_tokens: int = 1024


def sampler_chain(sampling: Sampling) -> Any:
    """Return a chain of llama.cpp's samplers; the caller frees it."""
    import llama_cpp as llama

    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    parts: list[Any] = []
    if sampling.repeat_penalty != 1.0:
        parts.append(
            llama.llama_sampler_init_penalties(PENALTY_WINDOW, sampling.repeat_penalty, 0, 0)
        )
    if sampling.temperature <= 0:
        parts.append(llama.llama_sampler_init_greedy())
    else:
        if sampling.top_k:
            parts.append(llama.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1:
            parts.append(llama.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p:
            parts.append(llama.llama_sampler_init_min_p(sampling.min_p, 1))
        parts.append(llama.llama_sampler_init_temp(sampling.temperature))
        seed = sampling.seed or int.from_bytes(os.urandom(4), "little")
        parts.append(llama.llama_sampler_init_dist(seed))
    for part in parts:
        llama.llama_sampler_chain_add(chain, part)
    return chain
