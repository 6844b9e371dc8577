"""How the next token is drawn: sampling parameters, and the llama.cpp sampler chain built from them.

A grammar (GBNF, llama.cpp's notation) restricts the reply to the texts that it derives.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memory.errors import ModelError

PENALTY_WINDOW = 64


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters. Temperature 0 takes the most likely token; seed 0 draws a new seed.

    A `grammar` that is not empty is GBNF; its rule `root` describes the whole reply.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    seed: int = 0
    max_tokens: int = 1024
    grammar: str = ""

    @property
    def takes_best(self) -> bool:
        """Whether the next token is always the one with the largest logit."""
        return self.temperature <= 0 and self.repeat_penalty == 1.0 and not self.grammar


def json_grammar(schema: Mapping[str, Any]) -> str:
    """Return the GBNF of the JSON texts that follow a JSON schema.

    Raises:
        ModelError: llama.cpp's converter does not support the schema.
    """
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        return str(json_schema_to_gbnf(json.dumps(schema)))
    except Exception as error:  # the converter raises all kinds
        raise ModelError(
            "cannot convert this JSON schema to a grammar: {error}; use a simpler schema",
            error=error,
        ) from error


def sampler_chain(sampling: Sampling, vocabulary: Any) -> Any:
    """Return a chain of llama.cpp samplers over a vocabulary; the caller frees it.

    Raises:
        ModelError: the grammar is not valid.
    """
    import llama_cpp as llama

    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    parts: list[Any] = []
    if sampling.grammar:
        rules = llama.llama_sampler_init_grammar(vocabulary, sampling.grammar.encode(), b"root")
        if not rules:
            llama.llama_sampler_free(chain)
            raise ModelError("llama.cpp cannot parse the grammar; use a simpler schema")
        parts.append(rules)
    if sampling.repeat_penalty != 1.0:
        size = llama.llama_vocab_n_tokens(vocabulary)
        penalty = sampling.repeat_penalty
        parts.append(llama.llama_sampler_init_penalties(size, PENALTY_WINDOW, penalty, 0.0, 0.0))
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
