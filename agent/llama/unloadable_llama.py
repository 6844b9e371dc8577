"""A model that can be unloaded and restored, so that another process can use the memory it takes.

An unloaded model keeps its vocabulary, so text and tokens still work, and the state of its KV cache as
llama.cpp serialises it, in ordinary memory. Nothing is written to disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.llama.gguf.llama_file import Vocabulary, load_model
from agent.llama.llama import AbortFlag, Llama
from memory.errors import AdapterError, ModelError


@dataclass(frozen=True, slots=True)
class SavedCache:
    """The tokens in a KV cache, and the cache as llama.cpp serialises it."""

    tokens: tuple[int, ...]
    state: bytes


def closed_error() -> ModelError:
    """Return the error of whatever needs a model that was closed."""
    return ModelError("the model was closed; open it again to use it")


def saved_cache(llama: Llama) -> SavedCache | None:
    """Return the cache of a model; None if it is empty or cannot be saved."""
    state = llama.cache_state() if llama.cached else None
    return SavedCache(tuple(llama.cached), state) if state is not None else None


class UnloadableLlama:
    """A `Llama` that can be freed and loaded again. Its text methods work while it is unloaded."""

    def __init__(
        self,
        path: Path,
        *,
        context: int,
        threads: int,
        gpu_layers: int,
        abort: AbortFlag,
    ) -> None:
        """Load the GGUF at `path`; see `Llama`."""
        self._threads, self._gpu_layers, self._abort = threads, gpu_layers, abort
        self._file = _size_and_time(path)
        self._saved: SavedCache | None = None
        self._llama: Llama | None = self._open(path, context)
        self.info = self._llama.info
        self._vocabulary = self._llama.vocabulary
        # Held while the vocabulary is read, so that it is not freed under another thread.
        self._vocabulary_lock = threading.Lock()
        self._closed = False

    def _open(self, path: Path, context: int) -> Llama:
        return Llama(
            path,
            context=context,
            threads=self._threads,
            gpu_layers=self._gpu_layers,
            abort=self._abort,
        )

    @property
    def llama(self) -> Llama:
        """The loaded model.

        Raises:
            RuntimeError: it is unloaded.
        """
        if self._llama is None:
            raise RuntimeError("the model is unloaded")
        return self._llama

    @property
    def unloaded(self) -> bool:
        """Whether only the vocabulary is loaded."""
        return self._llama is None

    def close(self) -> None:
        """Free everything; calling it again does nothing."""
        with self._vocabulary_lock:
            self._closed = True
            if self._llama is not None:
                self._llama.close()
            else:
                self._vocabulary.close()

    # --- unloading ---------------------------------------------------------------------------

    def unload(self) -> None:
        """Free the weights and the context; every adapter must have been freed."""
        llama = self.llama
        vocabulary = Vocabulary(load_model(self.info.path, 0, vocabulary_only=True))
        self._saved = saved_cache(llama)
        self._use(vocabulary)
        llama.close()
        self._llama = None

    def restore(self, adapter: Path | None, scale: float) -> Any:
        """Load the model again with the GGUF LoRA at `adapter`; return the adapter's handle.

        When the adapter cannot be loaded, the base model is restored with an empty cache and None is
        returned.

        Raises:
            ModelError: it cannot be loaded, or the file has changed; it stays unloaded.
        """
        llama = self._reload()
        saved, self._saved = self._saved, None
        handle = None
        try:
            if adapter is not None:
                handle = llama.load_adapter(adapter)
                llama.apply_adapter(handle, scale, forget=False)
        except AdapterError:
            if handle is not None:
                llama.free_adapter(handle)
            return None
        if saved is not None:
            llama.restore_cache(saved.tokens, saved.state)
        return handle

    def _reload(self) -> Llama:
        path = self.info.path
        if _size_and_time(path) != self._file:
            raise ModelError(
                "the model {path} changed while it was unloaded; reopen the chat to use it",
                path=path,
            )
        self._llama = llama = self._open(path, self.info.context)
        vocabulary_only = self._vocabulary
        self._use(llama.vocabulary)
        vocabulary_only.close()
        return llama

    def _use(self, vocabulary: Vocabulary) -> None:
        """Switch to another handle of the same file, once current readers are done."""
        with self._vocabulary_lock:
            self._vocabulary = vocabulary

    # --- text and tokens ---------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[Vocabulary]:
        with self._vocabulary_lock:
            if self._closed:
                raise closed_error()
            yield self._vocabulary

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the token ids of `text`; control tokens are only recognised with `special`."""
        with self._reading() as vocabulary:
            return vocabulary.tokenize(text, special=special)

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token represents; empty for control tokens."""
        with self._reading() as vocabulary:
            return vocabulary.piece(token)

    def ends_turn(self, token: int) -> bool:
        """Whether the token closes a turn."""
        with self._reading() as vocabulary:
            return vocabulary.ends_turn(token)

    @property
    def end_of_turn(self) -> int:
        """The token that closes a turn."""
        with self._reading() as vocabulary:
            return vocabulary.end_of_turn


def _size_and_time(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
