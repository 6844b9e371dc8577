"""llama.cpp through llama-cpp-python's low-level bindings. The only room that knows them.

`Llama` is one model and one context, plain calls without locks or policy: load, tokenise, decode,
adapters, samplers. Everything above it is `agent/engine.py`. The high-level class of the package is
not used: it fixes the adapter at load and detokenises the whole reply again for each token.

Refuses, with ModelError or AdapterError, a file that is missing, truncated, not a GGUF, of another
architecture, or that llama.cpp will not load; its first error line names the cause.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memory.errors import AdapterError, ModelError

ARCHITECTURES = ("qwen2", "qwen3")
DEFAULT_CONTEXT = 8192
BATCH = 512
PENALTY_WINDOW = 64
SMALL_MODEL = 50_000_000
_ERROR = 4  # GGML_LOG_LEVEL_ERROR in ggml.h
_ABORTED = 2  # what llama_decode returns when the abort callback said so

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a loaded GGUF says of itself. `context` is the window in use, in tokens."""

    path: Path
    name: str
    architecture: str
    description: str
    parameters: int
    size: int
    vocabulary: int
    context: int
    context_trained: int
    template: str
    metadata: dict[str, str]


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


class DecodeAborted(Exception):  # noqa: N818  (a signal, caught one level up)
    """The abort callback stopped the evaluation; the memory is empty."""


class _Log:
    """Keeps llama.cpp's error lines, which name the cause of a failed load."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._callback: Any = None

    def listen(self) -> None:
        """Begin anew."""
        import llama_cpp

        if self._callback is None:

            def keep(level: int, text: bytes, _data: Any) -> None:
                if level == _ERROR:
                    self.lines = [*self.lines[-7:], text.decode("utf-8", "replace").strip()]

            self._callback = llama_cpp.llama_log_callback(keep)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))
        self.lines = []

    @property
    def cause(self) -> str:
        """The first error line, without llama.cpp's function names."""
        return self.lines[0].split(": ", 1)[-1] if self.lines else "llama.cpp gave no reason"


_log = _Log()


def require_gguf(path: Path, what: str, error: type[ModelError] | type[AdapterError]) -> None:
    """Raise `error` unless `path` is a readable file that begins as a GGUF does."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        raise error(
            f"there is no {what} at {path}; check the path in config.toml or on the command line"
        ) from None
    except OSError as cause:
        raise error(f"cannot read the {what} {path}: {cause.strerror}; check its path") from cause
    if magic != b"GGUF":
        raise error(f"{path} is not a GGUF file; choose a {what} in GGUF format")


def physical_threads() -> int:
    """Return how many threads to compute with: the processors this process may use, halved when
    they are hyper-threads of fewer cores."""
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        siblings = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list").read_text()
    except OSError:
        return usable
    shared = siblings.strip() not in ("0", "") and usable > 2
    return max(1, usable // 2) if shared else usable


class Llama:
    """One model and one context of llama.cpp. `memory` is what its KV cache holds, as tokens."""

    def __init__(
        self,
        path: Path,
        *,
        context: int,
        threads: int,
        gpu_layers: int,
        must_abort: Callable[[], bool],
    ) -> None:
        """Load the GGUF at `path`; `context` and `threads` of 0 choose.

        Raises:
            ModelError: see the module.
        """
        import llama_cpp

        self._llama = llama_cpp
        self._model: Any = None
        self._context: Any = None
        self._batch: Any = None
        self.memory: list[int] = []
        require_gguf(path, "model", ModelError)
        _log.listen()
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise ModelError(
                f"cannot load the model {path}: {_log.cause}; it is damaged or not supported, "
                'choose another Qwen2 or Qwen3 GGUF (or set model.path to "" for the starter)'
            )
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        metadata = self._metadata()
        architecture = metadata.get("general.architecture", "?")
        if architecture not in ARCHITECTURES:
            self.close()
            raise ModelError(
                f"the model {path} has the architecture {architecture!r}, and Discern serves and "
                f"trains {' and '.join(ARCHITECTURES)}; choose a Qwen2 or Qwen3 GGUF"
            )
        trained = int(llama_cpp.llama_model_n_ctx_train(self._model))
        self._open_context(path, context or min(trained, DEFAULT_CONTEXT), threads, must_abort)
        self.info = self._describe(path, metadata, trained)

    def _open_context(
        self, path: Path, size: int, threads: int, must_abort: Callable[[], bool]
    ) -> None:
        llama = self._llama
        params = llama.llama_context_default_params()
        params.n_ctx = size
        params.n_batch = params.n_ubatch = min(BATCH, size)
        params.n_threads = params.n_threads_batch = threads or self._threads()
        params.no_perf = True
        self._abort = llama.ggml_abort_callback(lambda _data: must_abort())
        params.abort_callback = self._abort
        self._context = llama.llama_init_from_model(self._model, params)
        if not self._context:
            cause = _log.cause
            self.close()
            raise ModelError(
                f"a context of {size} tokens for {path} does not fit: {cause}; "
                "set model.context in config.toml to a smaller number"
            )
        self._batch_size = int(params.n_batch)
        self._batch = llama.llama_batch_init(self._batch_size, 0, 1)

    def _threads(self) -> int:
        # A model this small spends more time at its threads' barriers than it gains from them.
        small = self._llama.llama_model_n_params(self._model) < SMALL_MODEL
        return 1 if small else physical_threads()

    def _describe(self, path: Path, metadata: dict[str, str], trained: int) -> ModelInfo:
        llama = self._llama
        buffer = ctypes.create_string_buffer(256)
        llama.llama_model_desc(self._model, buffer, 256)
        return ModelInfo(
            path=path,
            name=metadata.get("general.name") or path.stem,
            architecture=metadata["general.architecture"],
            description=buffer.value.decode("utf-8", "replace"),
            parameters=int(llama.llama_model_n_params(self._model)),
            size=int(llama.llama_model_size(self._model)),
            vocabulary=int(llama.llama_vocab_n_tokens(self._vocab)),
            context=int(llama.llama_n_ctx(self._context)),
            context_trained=trained,
            template=metadata.get("tokenizer.chat_template", ""),
            metadata=metadata,
        )

    def _metadata(self) -> dict[str, str]:
        llama = self._llama

        def read(by_index: Any, index: int) -> str:
            size = 1024
            while True:
                buffer = ctypes.create_string_buffer(size)
                needed = by_index(self._model, index, buffer, size)
                if needed < size:
                    return buffer.value.decode("utf-8", "replace")
                size = needed + 1

        return {
            read(llama.llama_model_meta_key_by_index, index): read(
                llama.llama_model_meta_val_str_by_index, index
            )
            for index in range(llama.llama_model_meta_count(self._model))
        }

    def close(self) -> None:
        """Free everything; calling it again does nothing."""
        llama = self._llama
        if self._batch is not None:
            llama.llama_batch_free(self._batch)
        if self._context:
            llama.llama_free(self._context)
        if self._model:
            llama.llama_model_free(self._model)
        self._batch = self._context = self._model = None

    # --- text and tokens ---------------------------------------------------------------------

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the token ids of `text`; control tokens are only recognised with `special`."""
        data = text.encode("utf-8", "replace")
        size = len(data) + 8
        tokens = (ctypes.c_int32 * size)()
        count = self._llama.llama_tokenize(
            self._vocab, data, len(data), tokens, size, False, special
        )
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        """Return the bytes a token stands for; empty for control tokens."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = self._llama.llama_token_to_piece(self._vocab, token, buffer, size, 0, False)
            if count >= 0:
                return bytes(buffer.raw[:count])
            size = -count

    def ends_turn(self, token: int) -> bool:
        """Whether the token closes a turn."""
        return bool(self._llama.llama_vocab_is_eog(self._vocab, token))

    @property
    def end_of_turn(self) -> int:
        """The token that closes a turn."""
        eot = int(self._llama.llama_vocab_eot(self._vocab))
        return eot if eot >= 0 else int(self._llama.llama_vocab_eos(self._vocab))

    # --- evaluation --------------------------------------------------------------------------

    def forget(self) -> None:
        """Empty the memory."""
        self._llama.llama_memory_clear(self._llama.llama_get_memory(self._context), True)
        self.memory = []

    def cut(self, length: int) -> bool:
        """Keep the first `length` tokens of the memory; False when it had to be emptied."""
        memory = self._llama.llama_get_memory(self._context)
        if not self._llama.llama_memory_seq_rm(memory, 0, length, -1):
            self.forget()
            return False
        del self.memory[length:]
        return True

    def decode(self, tokens: Sequence[int], first_output: int) -> Iterator[FloatArray]:
        """Evaluate `tokens` after the memory; yield the logits of those from `first_output` on.

        Each row (shape [vocabulary]) is a view that the next step overwrites.

        Raises:
            DecodeAborted: the abort callback said so.
            ModelError: llama.cpp could not evaluate them.
        """
        llama, batch = self._llama, self._batch
        for start in range(0, len(tokens), self._batch_size):
            part = tokens[start : start + self._batch_size]
            position = len(self.memory)
            outputs: list[int] = []
            for index, token in enumerate(part):
                batch.token[index] = token
                batch.pos[index] = position + index
                batch.n_seq_id[index] = 1
                batch.seq_id[index][0] = 0
                wanted = start + index >= first_output
                batch.logits[index] = wanted
                if wanted:
                    outputs.append(index)
            batch.n_tokens = len(part)
            status = llama.llama_decode(self._context, batch)
            if status:
                self.forget()
                if status == _ABORTED:
                    raise DecodeAborted
                raise ModelError(
                    f"llama.cpp could not evaluate {len(tokens)} tokens (status {status}); "
                    "the context is full: set model.context in config.toml to a larger number"
                )
            self.memory.extend(part)
            for index in outputs:
                row = llama.llama_get_logits_ith(self._context, index)
                yield np.ctypeslib.as_array(row, shape=(self.info.vocabulary,))

    # --- adapters ----------------------------------------------------------------------------

    def load_adapter(self, path: Path) -> Any:
        """Load the GGUF LoRA at `path` and return its handle.

        Raises:
            AdapterError: missing, not a GGUF, or made for another base.
        """
        require_gguf(path, "adapter", AdapterError)
        _log.listen()
        handle = self._llama.llama_adapter_lora_init(self._model, str(path).encode())
        if not handle:
            raise AdapterError(
                f"cannot load the adapter {path}: {_log.cause}; "
                "`discern adapters off` goes on without it"
            )
        return handle

    def wear_adapter(self, handle: Any, scale: float) -> None:
        """Serve with one adapter (None: with none); empties the memory.

        Raises:
            AdapterError: llama.cpp refused it.
        """
        llama = self._llama
        if handle is None:
            failed = llama.llama_set_adapters_lora(self._context, None, 0, None)
        else:
            failed = llama.llama_set_adapters_lora(
                self._context,
                (llama.llama_adapter_lora_p_ctypes * 1)(handle),
                1,
                (ctypes.c_float * 1)(scale),
            )
        if failed:
            raise AdapterError("llama.cpp refused the adapter; train it again")
        self.forget()

    def free_adapter(self, handle: Any) -> None:
        """Free an adapter that is not worn any more."""
        self._llama.llama_adapter_lora_free(handle)

    # --- sampling ----------------------------------------------------------------------------

    def sampler(self, sampling: Sampling) -> Any:
        """Return a chain of llama.cpp's samplers; free it with `free_sampler`."""
        llama = self._llama
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

    def sample(self, sampler: Any) -> int:
        """Draw a token from the last logits."""
        return int(self._llama.llama_sampler_sample(sampler, self._context, -1))

    def free_sampler(self, sampler: Any) -> None:
        """Free a sampler chain."""
        self._llama.llama_sampler_free(sampler)
