"""Draw the next token from the logits of the last one, with a chain of llama.cpp samplers.

If the next token is always the most likely one, no chain is built.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from memory.errors import ModelError

if TYPE_CHECKING:
    from agent.llama.logits import FloatArray
    from agent.llama.sampling_parameters import Sampling

PENALTY_WINDOW = 64


class TokenSampler:
    """Draws the tokens of one reply; close it.

    A repeat penalty and a grammar depend on the tokens drawn before.
    """

    def __init__(self, sampling: Sampling, context: Any, vocabulary: Any) -> None:
        """Build the chain for a llama.cpp context and its vocabulary.

        Raises:
            ModelError: the grammar is not valid.
        """
        import llama_cpp

        self._llama, self._context = llama_cpp, context
        self._chain = None if sampling.takes_best else _chain(sampling, vocabulary)

    def draw(self, row: FloatArray) -> int:
        """Return the next token; `row` are the logits of the last token of the context."""
        if self._chain is None:
            return int(row.argmax())
        return int(self._llama.llama_sampler_sample(self._chain, self._context, -1))

    def close(self) -> None:
        """Free the chain; calling it again does nothing."""
        if self._chain is not None:
            self._llama.llama_sampler_free(self._chain)
            self._chain = None


def _chain(sampling: Sampling, vocabulary: Any) -> Any:
    """Return the llama.cpp samplers of these parameters, in llama.cpp's order."""
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
