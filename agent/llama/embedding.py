"""An embedding GGUF (Qwen3-Embedding) for vector recall, in a separate context.

It implements `memory.recall.embedder.Embedder`. The chat model is not used for this, because its
nightly adapter would change the vectors. Text is tokenised without control tokens and cut to the
window. The vector is the model's pooled one (the last token's where the file names no pooling), of
unit length.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.llama.gguf.llama_file import load_model, log, read_metadata, threads_for
from agent.llama.logits import view
from memory.errors import ModelError
from memory.settings.paths import expanded

WINDOW = 512
"""Tokens of a text that are embedded: enough for a question, and for the start of a pasted page."""

TASK = "Given a message, retrieve past messages that ask for the same or bear on it"


class GgufEmbedder:
    """Turns texts into unit vectors with an embedding model; close it with the memory."""

    def __init__(self, path: Path, *, threads: int = 0, gpu_layers: int = -1) -> None:
        """Load the GGUF at `path`.

        Raises:
            ModelError: missing, damaged, or not an embedding model.
        """
        import llama_cpp

        path = expanded(path).absolute()
        self._llama = llama_cpp
        self._lock = threading.Lock()
        self._context: Any = None
        self._model: Any = load_model(path, gpu_layers)
        metadata = read_metadata(self._model)
        architecture = metadata.get("general.architecture", "")
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = WINDOW
        params.n_threads = params.n_threads_batch = threads or threads_for(self._model)
        params.embeddings = True
        params.no_perf = True
        if f"{architecture}.pooling_type" not in metadata:
            params.pooling_type = llama_cpp.LLAMA_POOLING_TYPE_LAST
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            cause = log.cause
            self.close()
            raise ModelError(
                "cannot use {path} for embeddings: {cause}; choose an embedding model in GGUF "
                "format",
                path=path,
                cause=cause,
            )
        if llama_cpp.llama_pooling_type(self._context) == llama_cpp.LLAMA_POOLING_TYPE_NONE:
            self.close()
            raise ModelError(
                "{path} does not return one vector per text; choose an embedding model in GGUF "
                "format, such as Qwen3-Embedding",
                path=path,
            )
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self.size = int(llama_cpp.llama_model_n_embd(self._model))
        # File name and size identify the model: another quantisation gets another collection.
        self.name = f"{path.stem[:40]}-{path.stat().st_size}"

    def close(self) -> None:
        """Free everything; calling it again does nothing."""
        with self._lock:
            if self._context:
                self._llama.llama_free(self._context)
            if self._model:
                self._llama.llama_model_free(self._model)
            self._context = self._model = None

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return one unit vector per text, shape [len(texts), size]; zeros for an empty text."""
        vectors = np.zeros((len(texts), self.size), dtype=np.float32)
        with self._lock:
            for row, text in zip(vectors, texts, strict=True):
                if text.strip():
                    row[:] = self._embed(self._tokens(text))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.where(norms == 0, 1, norms), dtype=np.float32)

    def query(self, text: str) -> npt.NDArray[np.float32]:
        """Return the unit vector of a search query, shape [size].

        Qwen3-Embedding expects queries with an instruction, and stored texts without one.
        """
        return np.asarray(self.embed([f"Instruct: {TASK}\nQuery: {text}"])[0], dtype=np.float32)

    def _tokens(self, text: str) -> list[int]:
        data = text.encode("utf-8", "replace")[: WINDOW * 16]
        size = len(data) + 8
        tokens = (ctypes.c_int32 * size)()
        count = self._llama.llama_tokenize(self._vocab, data, len(data), tokens, size, False, False)
        # Qwen3-Embedding's vector is that of the end-of-text token after the text.
        return [*tokens[: min(count, WINDOW - 1)], int(self._llama.llama_vocab_eos(self._vocab))]

    def _embed(self, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        llama = self._llama
        llama.llama_memory_clear(llama.llama_get_memory(self._context), True)
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        status = llama.llama_decode(self._context, llama.llama_batch_get_one(array, len(tokens)))
        if status:
            raise ModelError(
                "the embedding model could not process {tokens} tokens (status {status}); set "
                "memory.dense = false to use keyword search only",
                tokens=len(tokens),
                status=status,
            )
        values = llama.llama_get_embeddings_seq(self._context, 0)
        return view(values, self.size).copy()
