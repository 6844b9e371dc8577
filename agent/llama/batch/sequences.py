"""Several sequences in one context of llama.cpp, evaluated together.

Weights are read from memory once per batch, whatever the number of tokens in it, so a CPU evaluates
several sequences in much less time than one after the other. A prefix that one sequence holds is copied
to another (`llama_memory_seq_cp`). This context is separate from the one that the chat uses
(`agent/llama/llama.py`) but shares its weights.

On a CPU, results are equal bit for bit whatever is evaluated together. For this each sequence has
cells of its own, in the order of its tokens (`kv_unified` is off), because flash attention sums in
float16; and at most `MAX_CHUNK_TOKENS` of its tokens are in one batch, because llama.cpp has another
kernel for more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agent.llama.llama import BATCH_TOKENS, Llama, apply_adapter
from agent.llama.logits import FloatArray, view
from memory.errors import ModelError

MAX_CHUNK_TOKENS = 63
"""Most tokens of one sequence per batch: one less than GGML_FA_TILE_Q in ggml's ops.cpp."""
PAGE_TOKENS = 256
"""Tokens of a sequence are stored in pages of this size."""


@dataclass(frozen=True, slots=True)
class Part:
    """Tokens to append to a sequence; logits are wanted of those from `first_output` on."""

    sequence: int
    tokens: Sequence[int]
    first_output: int

    @property
    def outputs(self) -> int:
        """Number of tokens whose logits are wanted."""
        return len(self.tokens) - min(len(self.tokens), max(0, self.first_output))


def in_pages(length: int) -> int:
    """Return how many cells `length` tokens take."""
    return length + -length % PAGE_TOKENS


class Sequences:
    """A context with `count` sequences. `held[i]` are the tokens in the cache of sequence `i`."""

    def __init__(self, llama: Llama, *, count: int, length: int) -> None:
        """Open a context on the model of `llama`, with its adapter and room for `length` tokens each.

        Raises:
            MemoryError: it does not fit into memory.
        """
        import llama_cpp

        self._llama = llama_cpp
        self._tuner, model = llama.batch_tuner, llama.model
        self._threads = self._tuner.count
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = count * in_pages(length)
        params.n_batch = params.n_ubatch = min(BATCH_TOKENS, params.n_ctx)
        params.n_seq_max = count
        params.kv_unified = False
        params.n_threads = params.n_threads_batch = self._threads
        params.no_perf = True
        self._context = llama_cpp.llama_init_from_model(model, params)
        if not self._context:
            raise MemoryError
        if not apply_adapter(self._context, llama.adapter):
            llama_cpp.llama_free(self._context)
            raise MemoryError
        self._memory = llama_cpp.llama_get_memory(self._context)
        vocabulary = llama_cpp.llama_model_get_vocab(model)
        self._width = int(llama_cpp.llama_vocab_n_tokens(vocabulary))
        self._batch = llama_cpp.llama_batch_init(int(params.n_batch), 0, 1)
        self.batch_size = int(params.n_batch)
        self.held: list[list[int]] = [[] for _ in range(count)]
        # The state of a recurrent layer cannot be cut back to a prefix.
        self.shares_prefixes = not (
            llama_cpp.llama_model_is_recurrent(model) or llama_cpp.llama_model_is_hybrid(model)
        )

    def close(self) -> None:
        """Free the context; calling it again does nothing."""
        if self._context:
            self._llama.llama_batch_free(self._batch)
            self._llama.llama_free(self._context)
        self._context = None

    def keep(self, sequence: int, length: int) -> int:
        """Keep the first `length` tokens of a sequence, none if it cannot be cut; return how many."""
        if length >= len(self.held[sequence]):
            return len(self.held[sequence])
        if length and self._llama.llama_memory_seq_rm(self._memory, sequence, length, -1):
            del self.held[sequence][length:]
            return length
        self._llama.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        self.held[sequence] = []
        return 0

    def copy(self, source: int, target: int, length: int) -> None:
        """Make the first `length` tokens of `source` all that `target` holds."""
        self.keep(target, 0)
        # Only whole sequences can be copied.
        self._llama.llama_memory_seq_cp(self._memory, source, target, -1, -1)
        self.held[target] = list(self.held[source])
        self.keep(target, length)

    def decode(self, parts: Sequence[Part], read: Callable[[Part, FloatArray], None]) -> None:
        """Evaluate the parts in one batch; call `read` for each wanted row of logits, in order.

        A row (shape [vocabulary]) is a view that the next batch overwrites.

        Raises:
            ModelError: llama.cpp could not evaluate them; the sequences are undefined.
        """
        outputs = list(self._fill(parts))
        begun = time.perf_counter()
        status = self._llama.llama_decode(self._context, self._batch)
        if status:
            raise ModelError(
                "llama.cpp could not evaluate {tokens} tokens of {sequences} replies (status "
                "{status}); restart Discern, or raise model.context in config.toml",
                tokens=sum(len(part.tokens) for part in parts),
                sequences=len(parts),
                status=status,
            )
        self._tune(len(parts), sum(len(part.tokens) for part in parts), begun)
        for part in parts:
            self.held[part.sequence].extend(part.tokens)
        for part, index in outputs:
            row = self._llama.llama_get_logits_ith(self._context, index)
            read(part, view(row, self._width))

    def _tune(self, sequences: int, tokens: int, begun: float) -> None:
        """Report the time per token to the tuner if many sequences got one each; set the threads."""
        if 2 * tokens >= len(self.held) and tokens == sequences:
            self._tuner.record((time.perf_counter() - begun) / tokens)
        if self._tuner.count != self._threads:
            self._threads = self._tuner.count
            self._llama.llama_set_n_threads(self._context, self._threads, self._threads)

    def _fill(self, parts: Sequence[Part]) -> Iterator[tuple[Part, int]]:
        """Fill the batch; yield the part and the index of each token whose logits are wanted."""
        batch = self._batch
        count = 0
        for part in parts:
            position = len(self.held[part.sequence])
            for place, token in enumerate(part.tokens):
                batch.token[count] = token
                batch.pos[count] = position + place
                batch.n_seq_id[count] = 1
                batch.seq_id[count][0] = part.sequence
                batch.logits[count] = place >= part.first_output
                if place >= part.first_output:
                    yield part, count
                count += 1
        batch.n_tokens = count


def open_sequences(llama: Llama, count: int, length: int) -> Sequences | None:
    """Return a context of `count` sequences for `length` tokens each; None if it does not fit."""
    try:
        return Sequences(llama, count=count, length=length)
    except MemoryError:
        return None
