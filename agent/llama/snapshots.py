"""Go back in a sequence whose layers carry a state that cannot be cut.

Keys and values of single tokens can be removed from a cache, the state of a recurrent layer (Qwen3.5's
Gated DeltaNet) cannot: llama.cpp refuses, and the whole prompt would be evaluated again in each turn,
because the recalled block before the last message is not part of the next prompt. The state is saved
where the settled part of a prompt ends, in ordinary memory, without the keys and values. Source:
llama.cpp's `llama_state_seq_get_data_ext` with LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_SNAPSHOTS = 3
"""States that are kept, the latest; one takes 20 MB with Qwen3.5-0.8B, and 50 MB with the 9B."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    length: int
    state: bytes


class Snapshots:
    """Saved states of sequence 0 of a context; none are taken where the cache can be cut."""

    def __init__(self, model: Any, context: Any) -> None:
        """Take the handles of llama.cpp, which must outlive this object."""
        import llama_cpp

        self._llama, self._context = llama_cpp, context
        self._needed = bool(
            llama_cpp.llama_model_is_hybrid(model) or llama_cpp.llama_model_is_recurrent(model)
        )
        self._saved: list[_Snapshot] = []
        self._wanted = 0

    def clear(self) -> None:
        """Drop all states: the keys and values that belong to them are gone."""
        self._saved.clear()

    def want(self, length: int) -> None:
        """Save the state once the cache holds `length` tokens; 0 saves none."""
        self._wanted = length if self._needed else 0

    def next_stop(self, cached: int) -> int | None:
        """Return how many tokens may follow `cached` ones before a state is saved; None for any."""
        return self._wanted - cached if self._wanted > cached else None

    def save(self, cached: Sequence[int]) -> None:
        """Save the state of a cache that holds `cached`, if it is wanted there."""
        if not self._wanted or len(cached) != self._wanted:
            return
        self._wanted = 0
        if any(item.length == len(cached) for item in self._saved):
            return
        flags = self._llama.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        size = int(self._llama.llama_state_seq_get_size_ext(self._context, 0, flags))
        buffer = (ctypes.c_uint8 * size)()
        written = int(
            self._llama.llama_state_seq_get_data_ext(self._context, buffer, size, 0, flags)
        )
        if 0 < written <= size:
            found = _Snapshot(len(cached), ctypes.string_at(buffer, written))
            self._saved = [*self._saved[-MAX_SNAPSHOTS + 1 :], found]

    def restore(self, length: int) -> int:
        """Restore the latest state within the first `length` tokens; return its length, 0 for none.

        Later states are dropped. The keys and values after it must then be removed.
        """
        while self._saved and self._saved[-1].length > length:
            self._saved.pop()
        if not self._saved:
            return 0
        last = self._saved[-1]
        flags = self._llama.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        buffer = (ctypes.c_uint8 * len(last.state)).from_buffer_copy(last.state)
        read = self._llama.llama_state_seq_set_data_ext(
            self._context, buffer, len(last.state), 0, flags
        )
        return last.length if int(read) == len(last.state) else 0
