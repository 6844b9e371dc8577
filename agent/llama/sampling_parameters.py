"""Sampling parameters, with which `agent/llama/draw_token.py` draws the next token.

A grammar (GBNF, llama.cpp's notation) restricts the reply to the texts that it derives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memory.errors import ModelError


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
