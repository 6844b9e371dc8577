"""llama.cpp behind one object: load, tokenise, stream, cancel, score, swap adapters.

The only room that knows llama-cpp-python; it uses its low-level bindings, because the high-level
class fixes the adapter at load and detokenises the whole reply again for each token.

One engine owns one model and one context. Its methods may be called from any thread, one at a time
(a lock sees to it); `Generation.cancel` may be called from another thread at any moment. Nothing is
written to disk. A file that is missing, truncated, not a GGUF or of an architecture other than Qwen2
and Qwen3 is refused with ModelError before it is served.

The prefix shared with the previous call is not evaluated again (llama.cpp's memory is cut back to
the first token that differs). Changing the adapter empties that memory: keys and values computed
under another adapter would otherwise go on speaking.
"""

from __future__ import annotations

import codecs
import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from memory.errors import AdapterError, ModelError

if TYPE_CHECKING:
    from memory.home import ModelSettings

ARCHITECTURES = ("qwen2", "qwen3")
DEFAULT_CONTEXT = 8192
BATCH = 512

_ERROR = 4  # GGML_LOG_LEVEL_ERROR in ggml.h

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


@dataclass(frozen=True, slots=True)
class Piece:
    """One generated token: its id, the text it completed (may be empty), its surprisal in nats."""

    token: int
    text: str
    surprisal: float


class _Log:
    """Keeps llama.cpp's last error lines, which name the cause of a failed load."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._callback: Any = None

    def install(self) -> None:
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


def _require_gguf(path: Path, what: str, error: type[ModelError] | type[AdapterError]) -> None:
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
    usable = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        siblings = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list").read_text()
    except OSError:
        return usable
    return max(1, usable // 2) if siblings.strip() not in ("0", "") and usable > 2 else usable


class Generation:
    """A reply in the making: iterate over its pieces; afterwards read what came of it.

    `reason` is "end" (the model closed its turn), "length" (max_tokens or the context ran out) or
    "cancelled". Iterating holds the engine; leave no generation half read without `close`.
    """

    def __init__(self, engine: Engine, prompt: Sequence[int], sampling: Sampling) -> None:
        self.prompt = tuple(prompt)
        self.sampling = sampling
        self.tokens: list[int] = []
        self.surprisal: list[float] = []
        self.text = ""
        self.tail = ""
        """What the last bytes stood for, when the reply ended inside a character."""
        self.reason = "cancelled"
        self.reused = 0
        """How many prompt tokens were still in memory."""
        self._cancelled = threading.Event()
        self._pieces = engine._generate(self)

    def cancel(self) -> None:
        """Stop after the token in hand, also in the middle of a long prompt (on CPU)."""
        self._cancelled.set()

    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def __iter__(self) -> Iterator[Piece]:
        return self._pieces

    def close(self) -> None:
        """Give the engine back without reading on."""
        self._pieces.close()  # type: ignore[attr-defined]  # a generator behind an Iterator

    def run(self) -> Generation:
        """Read to the end; returns self."""
        for _ in self:
            pass
        return self


class Engine:
    """A served GGUF. Use `Engine.open`; close it, or use it as a context manager."""

    def __init__(self, path: Path, settings: ModelSettings | None = None) -> None:
        import llama_cpp

        self._llama = llama_cpp
        self._lock = threading.Lock()
        self._model: Any = None
        self._context: Any = None
        self._batch: Any = None
        self._adapter: Any = None
        self._adapter_path: Path | None = None
        self._scale = 0.0
        self._memory: list[int] = []
        self._running: Generation | None = None
        self._open(path.expanduser().absolute(), settings)

    @classmethod
    def open(cls, path: Path | str, settings: ModelSettings | None = None) -> Engine:
        """Load the GGUF at `path`.

        Raises:
            ModelError: missing, unreadable, truncated, not a GGUF, another architecture, or the
                context does not fit into memory.
        """
        return cls(Path(path), settings)

    def _open(self, path: Path, settings: ModelSettings | None) -> None:
        llama = self._llama
        _require_gguf(path, "model", ModelError)
        _log.install()
        llama.llama_backend_init()
        params = llama.llama_model_default_params()
        params.n_gpu_layers = settings.gpu_layers if settings else -1
        self._model = llama.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise ModelError(
                f"cannot load the model {path}: {_log.cause}; it is damaged or not supported, "
                'choose another Qwen2 or Qwen3 GGUF (or set model.path to "" for the starter)'
            )
        self._vocab = llama.llama_model_get_vocab(self._model)
        metadata = self._read_metadata()
        architecture = metadata.get("general.architecture", "?")
        if architecture not in ARCHITECTURES:
            self.close()
            raise ModelError(
                f"the model {path} has the architecture {architecture!r}, and Discern serves and "
                f"trains {' and '.join(ARCHITECTURES)}; choose a Qwen2 or Qwen3 GGUF"
            )
        trained = llama.llama_model_n_ctx_train(self._model)
        wanted = (settings.context if settings else 0) or min(trained, DEFAULT_CONTEXT)
        threads = (settings.threads if settings else 0) or physical_threads()
        context_params = llama.llama_context_default_params()
        context_params.n_ctx = wanted
        context_params.n_batch = context_params.n_ubatch = min(BATCH, wanted)
        context_params.n_threads = context_params.n_threads_batch = threads
        context_params.no_perf = True
        self._abort = llama.ggml_abort_callback(lambda _data: self._must_abort())
        context_params.abort_callback = self._abort
        self._context = llama.llama_init_from_model(self._model, context_params)
        if not self._context:
            cause = _log.cause
            self.close()
            raise ModelError(
                f"a context of {wanted} tokens for {path} does not fit: {cause}; "
                "set model.context in config.toml to a smaller number"
            )
        self._batch_size = int(context_params.n_batch)
        self._batch = llama.llama_batch_init(self._batch_size, 0, 1)
        self._vocabulary = llama.llama_vocab_n_tokens(self._vocab)
        buffer = ctypes.create_string_buffer(256)
        llama.llama_model_desc(self._model, buffer, 256)
        self.info = ModelInfo(
            path=path,
            name=metadata.get("general.name") or path.stem,
            architecture=architecture,
            description=buffer.value.decode("utf-8", "replace"),
            parameters=llama.llama_model_n_params(self._model),
            size=llama.llama_model_size(self._model),
            vocabulary=self._vocabulary,
            context=int(llama.llama_n_ctx(self._context)),
            context_trained=trained,
            template=metadata.get("tokenizer.chat_template", ""),
            metadata=metadata,
        )

    def _read_metadata(self) -> dict[str, str]:
        llama = self._llama
        found: dict[str, str] = {}
        for index in range(llama.llama_model_meta_count(self._model)):
            pair: list[str] = []
            for read in (
                llama.llama_model_meta_key_by_index,
                llama.llama_model_meta_val_str_by_index,
            ):
                size = 1024
                while True:
                    buffer = ctypes.create_string_buffer(size)
                    needed = read(self._model, index, buffer, size)
                    if needed < size:
                        break
                    size = needed + 1
                pair.append(buffer.value.decode("utf-8", "replace"))
            found[pair[0]] = pair[1]
        return found

    def close(self) -> None:
        """Free the model; calling it again does nothing."""
        llama = self._llama
        with self._lock:
            if self._adapter:
                llama.llama_adapter_lora_free(self._adapter)
            if self._batch is not None:
                llama.llama_batch_free(self._batch)
            if self._context:
                llama.llama_free(self._context)
            if self._model:
                llama.llama_model_free(self._model)
            self._adapter = self._batch = self._context = self._model = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # --- text and tokens ---------------------------------------------------------------------

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
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

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of `tokens`, control tokens left out."""
        return b"".join(self.piece(token) for token in tokens).decode("utf-8", "replace")

    def ends_turn(self, token: int) -> bool:
        """Whether the token closes the model's turn (<|im_end|>, <|endoftext|>)."""
        return bool(self._llama.llama_vocab_is_eog(self._vocab, token))

    @property
    def end_of_turn(self) -> int:
        """The token that closes a turn."""
        eot = int(self._llama.llama_vocab_eot(self._vocab))
        return eot if eot >= 0 else int(self._llama.llama_vocab_eos(self._vocab))

    # --- adapters ----------------------------------------------------------------------------

    @property
    def adapter(self) -> tuple[Path, float] | None:
        """The adapter in force and its scale; None for the base alone."""
        return (self._adapter_path, self._scale) if self._adapter_path else None

    def set_adapter(self, path: Path | None, scale: float = 1.0) -> None:
        """Serve with the GGUF LoRA at `path` from the next token on; None serves the base alone.

        The old adapter stays in force when the new one is refused.

        Raises:
            AdapterError: missing, not a GGUF, or made for another base.
        """
        llama = self._llama
        with self._lock:
            fresh: Any = None
            if path is not None:
                _require_gguf(path, "adapter", AdapterError)
                _log.install()
                fresh = llama.llama_adapter_lora_init(self._model, str(path).encode())
                if not fresh:
                    raise AdapterError(
                        f"cannot load the adapter {path}: {_log.cause}; "
                        "`discern adapters off` goes on without it"
                    )
            if fresh:
                handles = (llama.llama_adapter_lora_p_ctypes * 1)(fresh)
                failed = llama.llama_set_adapters_lora(
                    self._context, handles, 1, (ctypes.c_float * 1)(scale)
                )
            else:
                failed = llama.llama_set_adapters_lora(self._context, None, 0, None)
            if failed:
                if fresh is not None:
                    llama.llama_adapter_lora_free(fresh)
                raise AdapterError(f"llama.cpp refused the adapter {path}; train it again")
            self._forget_memory()
            if self._adapter:
                llama.llama_adapter_lora_free(self._adapter)
            self._adapter, self._adapter_path, self._scale = fresh, path, scale if fresh else 0.0

    # --- evaluation --------------------------------------------------------------------------

    def _must_abort(self) -> bool:
        return self._running is not None and self._running.is_cancelled()

    def _forget_memory(self) -> None:
        self._llama.llama_memory_clear(self._llama.llama_get_memory(self._context), True)
        self._memory = []

    def _keep_prefix(self, tokens: Sequence[int], at_most: int) -> int:
        """Cut llama.cpp's memory back to the prefix it shares with `tokens`; returns its length."""
        shared = 0
        for known, wanted in zip(self._memory[:at_most], tokens, strict=False):
            if known != wanted:
                break
            shared += 1
        if shared < len(self._memory):
            memory = self._llama.llama_get_memory(self._context)
            if not self._llama.llama_memory_seq_rm(memory, 0, shared, -1):
                self._forget_memory()
                return 0
            del self._memory[shared:]
        return shared

    def _evaluate(self, tokens: Sequence[int], first_output: int) -> Iterator[FloatArray]:
        """Evaluate `tokens` after the memory; yield the logits of those from `first_output` on.

        Each yielded row (shape [vocabulary]) is a view that the next step overwrites.
        """
        llama, batch = self._llama, self._batch
        for start in range(0, len(tokens), self._batch_size):
            part = tokens[start : start + self._batch_size]
            position = len(self._memory)
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
            if status == 2:
                self._forget_memory()
                return
            if status != 0:
                self._forget_memory()
                raise ModelError(
                    f"llama.cpp could not evaluate {len(tokens)} tokens (status {status}); "
                    "the context is full: set model.context in config.toml to a larger number"
                )
            self._memory.extend(part)
            for index in outputs:
                row = llama.llama_get_logits_ith(self._context, index)
                yield np.ctypeslib.as_array(row, shape=(self._vocabulary,))

    def _require_room(self, count: int) -> None:
        if count > self.info.context:
            raise ModelError(
                f"{count} tokens do not fit into the context of {self.info.context}; "
                "shorten the message or set model.context in config.toml to a larger number"
            )

    def log_probabilities(self, tokens: Sequence[int], start: int) -> Iterator[FloatArray]:
        """Yield ln p(· | tokens[:i]) for i = start … len(tokens)−1, each of shape [vocabulary].

        `start` must be at least 1; the rows are copies.
        """
        if not 1 <= start <= len(tokens):
            raise ValueError(f"start must be between 1 and {len(tokens)}, not {start}")
        self._require_room(len(tokens))
        with self._lock:
            kept = self._keep_prefix(tokens, start - 1)
            todo = tokens[kept : len(tokens) - 1] if start < len(tokens) else []
            for row in self._evaluate(todo, start - 1 - kept):
                yield log_softmax(row)

    def surprisal(self, prompt: Sequence[int], reply: Sequence[int]) -> FloatArray:
        """Return −ln p of each reply token after the prompt, in nats, shape [len(reply)]."""
        rows = self.log_probabilities([*prompt, *reply], len(prompt))
        return np.array(
            [-row[token] for row, token in zip(rows, reply, strict=True)], dtype=np.float32
        )

    def generate(self, prompt: Sequence[int], sampling: Sampling) -> Generation:
        """Return the reply to `prompt` as a Generation; nothing is computed until it is iterated.

        Raises:
            ModelError: the prompt leaves no room for a reply.
        """
        if not prompt:
            raise ValueError("an empty prompt cannot be answered")
        self._require_room(len(prompt) + 1)
        return Generation(self, prompt, sampling)

    def _generate(self, generation: Generation) -> Iterator[Piece]:
        llama = self._llama
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with self._lock:
            sampler = self._sampler(generation.sampling)
            self._running = generation
            try:
                prompt = generation.prompt
                kept = self._keep_prefix(prompt, len(prompt) - 1)
                generation.reused = kept
                room = self.info.context - len(prompt)
                rows = self._evaluate(prompt[kept:], len(prompt) - kept - 1)
                for count in range(1, min(generation.sampling.max_tokens, room) + 1):
                    row = next(iter(rows), None)
                    if row is None or generation.is_cancelled():
                        return
                    token = llama.llama_sampler_sample(sampler, self._context, -1)
                    surprisal = -float(log_softmax(row)[token])
                    if self.ends_turn(token):
                        generation.reason = "end"
                        return
                    text = decoder.decode(self.piece(token))
                    generation.tokens.append(token)
                    generation.surprisal.append(surprisal)
                    generation.text += text
                    yield Piece(token, text, surprisal)
                    if generation.is_cancelled():
                        return
                    if count < min(generation.sampling.max_tokens, room):
                        rows = self._evaluate([token], 0)
                generation.reason = "length"
            finally:
                generation.tail = decoder.decode(b"", final=True)
                generation.text += generation.tail
                self._running = None
                llama.llama_sampler_free(sampler)

    def _sampler(self, sampling: Sampling) -> Any:
        llama = self._llama
        chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())

        def add(part: Any) -> None:
            llama.llama_sampler_chain_add(chain, part)

        if sampling.repeat_penalty != 1.0:
            add(llama.llama_sampler_init_penalties(64, sampling.repeat_penalty, 0.0, 0.0))
        if sampling.temperature <= 0:
            add(llama.llama_sampler_init_greedy())
            return chain
        if sampling.top_k:
            add(llama.llama_sampler_init_top_k(sampling.top_k))
        if sampling.top_p < 1:
            add(llama.llama_sampler_init_top_p(sampling.top_p, 1))
        if sampling.min_p:
            add(llama.llama_sampler_init_min_p(sampling.min_p, 1))
        add(llama.llama_sampler_init_temp(sampling.temperature))
        seed = sampling.seed or int.from_bytes(os.urandom(4), "little")
        add(llama.llama_sampler_init_dist(seed))
        return chain


def log_softmax(logits: FloatArray) -> FloatArray:
    """Return ln softmax of one row of logits, computed in float32 with the maximum taken out."""
    shifted = logits - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()), dtype=np.float32)
