"""A model that can be put aside and brought back, so that another process has the room it takes.

What is put aside keeps its vocabulary (text and tokens go on) and what its context remembers, as
llama.cpp writes it: keys and values of the one sequence, in ordinary memory. Nothing is written to
disk. Refuses, with ModelError, to come back where there is no room, or over a file that changed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.llama.llama import Llama
from agent.llama.llama_file import load_model
from memory.errors import AdapterError, ModelError


class Lendable(Llama):
    """A `Llama` that can leave its place; adapters are freed before and loaded anew afterwards."""

    def __init__(
        self,
        path: Path,
        *,
        context: int,
        threads: int,
        gpu_layers: int,
        must_abort: Callable[[], bool],
    ) -> None:
        """Load the GGUF at `path`; see `Llama`."""
        self._kept: bytes | None = None
        self._options = gpu_layers, threads, must_abort
        self._file = _file(path)
        super().__init__(
            path, context=context, threads=threads, gpu_layers=gpu_layers, must_abort=must_abort
        )

    @property
    def aside(self) -> bool:
        """Whether only the vocabulary is loaded."""
        return not self._context

    def put_aside(self) -> None:
        """Free the weights and the context."""
        llama = self._llama
        words = load_model(self.info.path, 0, words_only=True)
        self._kept = _remembered(self._context) if self.memory else None
        llama.llama_batch_free(self._batch)
        llama.llama_free(self._context)
        self._batch = self._context = None
        self._swap(words)

    def bring_back(self, adapter: Path | None, scale: float) -> Any:
        """Load again what was put aside, with the adapter it wore; returns that one's handle.

        Without the adapter's file (None is returned) or another's memory it begins with an empty one.

        Raises:
            ModelError: it cannot be loaded, or the file is another one now; it stays aside.
        """
        self._load_again()
        known, self.memory = self.memory, []
        handle = None
        try:
            if adapter is not None:
                handle = self.load_adapter(adapter)
                self.wear_adapter(handle, scale, forget=False)
        except AdapterError:
            if handle is not None:
                self.free_adapter(handle)
            self.forget()
            return None
        if self._kept is not None and _remember(self._context, self._kept):
            self.memory = known
            self._kept = None
        else:
            self.forget()
        return handle

    def _load_again(self) -> None:
        path = self.info.path
        gpu_layers, threads, must_abort = self._options
        if _file(path) != self._file:
            raise ModelError(
                f"the model {path} changed while it was put aside; open the chat anew to talk to it"
            )
        words, self._model = self._model, load_model(path, gpu_layers)
        try:
            self._open_context(path, self.info.context, threads, must_abort)
        except ModelError:
            self._llama.llama_model_free(self._model)
            self._model = words
            raise
        whole, self._model = self._model, words
        self._swap(whole)

    def forget(self) -> None:
        """Empty the memory, also one that is kept aside."""
        super().forget()
        self._kept = None

    def _swap(self, model: Any) -> None:
        """Go on with another handle of the same file; who reads words meanwhile is waited for."""
        with self._words:
            old, self._model = self._model, model
            self._vocab = self._llama.llama_model_get_vocab(model)
        self._llama.llama_model_free(old)


def _file(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _remembered(context: Any) -> bytes | None:
    import llama_cpp

    size = int(llama_cpp.llama_state_seq_get_size(context, 0))
    buffer = (ctypes.c_uint8 * size)()
    written = int(llama_cpp.llama_state_seq_get_data(context, buffer, size, 0))
    return ctypes.string_at(buffer, written) if 0 < written <= size else None


def _remember(context: Any, data: bytes) -> bool:
    import llama_cpp

    buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
    return int(llama_cpp.llama_state_seq_set_data(context, buffer, len(data), 0)) == len(data)
