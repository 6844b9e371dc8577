"""One model and one context of llama.cpp, through llama-cpp-python's low-level bindings.

`Llama` makes plain calls without locks or policy: decode, adapters, samplers. `agent/llama/engine.py`
builds on it. The package's high-level class is not used, because it fixes the adapter when the model
is loaded and detokenises the whole reply again for each token.

A file that is missing, truncated, not a GGUF, or that llama.cpp will not load raises ModelError or
AdapterError with llama.cpp's first error line as the cause. A file that makes llama.cpp abort is found
by `agent/llama/gguf/load_check.py`, which `Engine.open` calls first.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.llama.draw_token import TokenSampler
from agent.llama.gguf.llama_file import (
    ModelInfo,
    Vocabulary,
    chat_template,
    load_model,
    log,
    physical_threads,
    read_metadata,
    require_gguf,
    threads_for,
)
from agent.llama.logits import FloatArray, view
from agent.llama.sampling_parameters import Sampling
from agent.llama.snapshots import Snapshots
from agent.llama.thread_tuner import ThreadTuner
from memory.errors import AdapterError, ModelError

DEFAULT_CONTEXT = 8192
BATCH_TOKENS = 512
OUTPUTS = 128
"""Most rows of logits per batch: 78 MB with Qwen's vocabulary."""
_ABORTED = 2  # what llama_decode returns after the abort callback returned true


class DecodeAborted(Exception):  # noqa: N818 - a signal, caught one level up
    """The abort flag stopped the evaluation; the cache is empty."""


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """llama.cpp's handle of an adapter and the scale to apply it with."""

    handle: Any
    scale: float


def apply_adapter(context: Any, adapter: LoadedAdapter | None) -> bool:
    """Apply one adapter (None: the base alone) to a context; return whether llama.cpp accepted it."""
    import llama_cpp

    if adapter is None:
        return not llama_cpp.llama_set_adapters_lora(context, None, 0, None)
    return not llama_cpp.llama_set_adapters_lora(
        context,
        (llama_cpp.llama_adapter_lora_p_ctypes * 1)(adapter.handle),
        1,
        (ctypes.c_float * 1)(adapter.scale),
    )


class AbortFlag:
    """Tells llama.cpp to stop an evaluation; it looks between operations, hundreds of times a token.

    It must not call Python for that, which would also wait for the interpreter lock. So the callback is
    the C library's `strlen`, which returns 0 for the empty text in `_text` and 1 for "x".
    """

    def __init__(self) -> None:
        self._text = ctypes.create_string_buffer(2)

    def set(self) -> None:
        """Stop the evaluation that is running, or the next one."""
        self._text[0] = b"x"

    def clear(self) -> None:
        """Let evaluations run."""
        self._text[0] = b"\0"

    def listen(self, params: Any) -> None:
        """Enter the callback into the parameters of a context."""
        import llama_cpp

        strlen = ctypes.cast(ctypes.CDLL(None).strlen, llama_cpp.ggml_abort_callback)
        params.abort_callback = strlen
        params.abort_callback_data = ctypes.cast(self._text, ctypes.c_void_p)


class Llama:
    """One model and one context of llama.cpp. `cached` are the tokens in its KV cache.

    `model` is llama.cpp's handle, `adapter` the adapter in use, `batch_tuner` chooses the number of
    threads for several sequences (`agent/llama/batch/`).
    """

    def __init__(
        self,
        path: Path,
        *,
        context: int,
        threads: int,
        gpu_layers: int,
        abort: AbortFlag,
    ) -> None:
        """Load the GGUF at `path`; a `context` or `threads` of 0 means a good default.

        Raises:
            ModelError: see the module.
        """
        import llama_cpp

        self._llama = llama_cpp
        self.model: Any = None
        self._context: Any = None
        self._batch: Any = None
        self.cached: list[int] = []
        self.adapter: LoadedAdapter | None = None
        self.model = load_model(path, gpu_layers)
        self.vocabulary = Vocabulary(self.model)
        metadata = read_metadata(self.model)
        trained = int(llama_cpp.llama_model_n_ctx_train(self.model))
        try:
            self._open_context(path, context or min(trained, DEFAULT_CONTEXT), threads, abort)
        except ModelError:
            self.close()
            raise
        self.info = self._describe(path, metadata, trained)

    def _open_context(self, path: Path, size: int, threads: int, abort: AbortFlag) -> None:
        llama = self._llama
        params = llama.llama_context_default_params()
        params.n_ctx = size
        params.n_batch = params.n_ubatch = min(BATCH_TOKENS, size)
        usual = threads or threads_for(self.model)
        most = usual if threads else physical_threads()
        self._tuner = ThreadTuner(usual)
        self.batch_tuner = ThreadTuner(most, usual)
        self._threads = usual
        params.n_threads = params.n_threads_batch = usual
        params.no_perf = True
        abort.listen(params)
        self._abort = abort  # its memory is read as long as the context is used
        self._context = llama.llama_init_from_model(self.model, params)
        if not self._context:
            raise ModelError(
                "a context of {size} tokens for {path} does not fit into memory: {cause}; lower "
                "model.context in config.toml",
                size=size,
                path=path,
                cause=log.cause,
            )
        self._batch_size = int(params.n_batch)
        self._batch = llama.llama_batch_init(self._batch_size, 0, 1)
        self.snapshots = Snapshots(self.model, self._context)

    def _describe(self, path: Path, metadata: dict[str, str], trained: int) -> ModelInfo:
        llama = self._llama
        buffer = ctypes.create_string_buffer(256)
        llama.llama_model_desc(self.model, buffer, 256)
        return ModelInfo(
            path=path,
            name=metadata.get("general.name") or path.stem,
            architecture=metadata.get("general.architecture", "?"),
            description=buffer.value.decode("utf-8", "replace"),
            parameters=int(llama.llama_model_n_params(self.model)),
            size=int(llama.llama_model_size(self.model)),
            vocabulary=self.vocabulary.size,
            context=int(llama.llama_n_ctx(self._context)),
            context_trained=trained,
            template=chat_template(metadata, self.vocabulary.text_of),
            metadata=metadata,
            begin=self.vocabulary.begin,
        )

    def close(self) -> None:
        """Free everything; calling it again does nothing."""
        llama = self._llama
        if self._batch is not None:
            llama.llama_batch_free(self._batch)
        if self._context:
            llama.llama_free(self._context)
        self.vocabulary.close()
        self._batch = self._context = self.model = None

    # --- evaluation --------------------------------------------------------------------------

    def forget(self) -> None:
        """Empty the cache."""
        self._llama.llama_memory_clear(self._llama.llama_get_memory(self._context), True)
        self.cached = []
        self.snapshots.clear()

    def cut(self, length: int) -> int:
        """Keep the first `length` tokens of the cache, or fewer where it cannot be cut there.

        Returns how many were kept.
        """
        memory = self._llama.llama_get_memory(self._context)
        if not self._llama.llama_memory_seq_rm(memory, 0, length, -1):
            length = self.snapshots.restore(length)
            if not length or not self._llama.llama_memory_seq_rm(memory, 0, length, -1):
                self.forget()
                return 0
        del self.cached[length:]
        return length

    def cache_state(self) -> bytes | None:
        """Return the keys and values of the cache as llama.cpp serialises them; None if it cannot."""
        size = int(self._llama.llama_state_seq_get_size(self._context, 0))
        buffer = (ctypes.c_uint8 * size)()
        written = int(self._llama.llama_state_seq_get_data(self._context, buffer, size, 0))
        return ctypes.string_at(buffer, written) if 0 < written <= size else None

    def restore_cache(self, tokens: Sequence[int], state: bytes) -> None:
        """Restore the `cache_state` of a cache that held `tokens`; on failure the cache is empty."""
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        read = self._llama.llama_state_seq_set_data(self._context, buffer, len(state), 0)
        if int(read) == len(state):
            self.cached = list(tokens)
        else:
            self.forget()

    def keep_prefix(self, tokens: Sequence[int], at_most: int) -> int:
        """Cut the cache to the prefix it shares with `tokens`; return the length of that."""
        shared = 0
        for known, wanted in zip(self.cached[:at_most], tokens, strict=False):
            if known != wanted:
                break
            shared += 1
        return self.cut(shared) if shared < len(self.cached) else shared

    def decode(
        self, tokens: Sequence[int], first_output: int, measured: range = range(0)
    ) -> Iterator[FloatArray]:
        """Evaluate `tokens` after the cached ones; yield the logits of those from `first_output` on.

        The logits of the indices in `measured` are yielded too, in the order of the tokens. Each row
        (shape [vocabulary]) is a view that the next step overwrites.

        Raises:
            DecodeAborted: the abort flag was set.
            ModelError: llama.cpp could not evaluate them.
        """
        start = 0
        while start < len(tokens):
            part, outputs = self._fill(tokens, start, first_output, measured)
            begun = time.perf_counter()
            status = self._llama.llama_decode(self._context, self._batch)
            if status:
                self.forget()
                if status == _ABORTED:
                    raise DecodeAborted
                raise ModelError(
                    "llama.cpp could not evaluate {tokens} tokens (status {status}) because the "
                    "context is full; raise model.context in config.toml",
                    tokens=len(tokens),
                    status=status,
                )
            self.cached.extend(part)
            self.snapshots.save(self.cached)
            if len(part) == 1:
                self._tune(time.perf_counter() - begun)
            for index in outputs:
                row = self._llama.llama_get_logits_ith(self._context, index)
                yield view(row, self.info.vocabulary)
            start += len(part)

    def _tune(self, seconds: float) -> None:
        """Change the number of threads if evaluating one token in `seconds` suggests it."""
        self._tuner.record(seconds)
        if self._tuner.count != self._threads:
            self._threads = self._tuner.count
            self._llama.llama_set_n_threads(self._context, self._threads, self._threads)

    def _fill(
        self, tokens: Sequence[int], start: int, first_output: int, measured: range
    ) -> tuple[Sequence[int], list[int]]:
        """Fill the batch with the next tokens; return them and the indices that give logits."""
        batch = self._batch
        position = len(self.cached)
        outputs: list[int] = []
        count = 0
        size = min(self._batch_size, self.snapshots.next_stop(position) or self._batch_size)
        for token in tokens[start : start + size]:
            wanted = start + count >= first_output or start + count in measured
            if wanted and len(outputs) == OUTPUTS:
                break
            batch.token[count] = token
            batch.pos[count] = position + count
            batch.n_seq_id[count] = 1
            batch.seq_id[count][0] = 0
            batch.logits[count] = wanted
            if wanted:
                outputs.append(count)
            count += 1
        batch.n_tokens = count
        return tokens[start : start + count], outputs

    # --- adapters ----------------------------------------------------------------------------

    def load_adapter(self, path: Path) -> Any:
        """Load the GGUF LoRA at `path` and return its handle.

        Raises:
            AdapterError: missing, not a GGUF, or made for another base.
        """
        require_gguf(path, AdapterError)
        log.listen()
        handle = self._llama.llama_adapter_lora_init(self.model, str(path).encode())
        if not handle:
            raise AdapterError(
                "llama.cpp rejected the adapter {path}: {cause}; `discern adapters off` continues "
                "without it",
                path=path,
                cause=log.cause,
            )
        return handle

    def apply_adapter(self, handle: Any, scale: float, *, forget: bool = True) -> None:
        """Apply one adapter (None: the base alone); empty the cache unless `forget` is false.

        Raises:
            AdapterError: llama.cpp refused it.
        """
        adapter = LoadedAdapter(handle, scale) if handle is not None else None
        if not apply_adapter(self._context, adapter):
            raise AdapterError("llama.cpp rejected the adapter; train it again")
        self.adapter = adapter
        if forget:
            self.forget()

    def free_adapter(self, handle: Any) -> None:
        """Free an adapter that is no longer applied."""
        self._llama.llama_adapter_lora_free(handle)

    # --- sampling ----------------------------------------------------------------------------

    def sampler(self, sampling: Sampling) -> TokenSampler:
        """Return what draws the tokens of a reply; close it.

        Raises:
            ModelError: the grammar is not valid.
        """
        return TokenSampler(sampling, self._context, self.vocabulary.handle)
