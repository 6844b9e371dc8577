"""A served model: tokenise, generate, cancel, score, change adapters.

One engine owns one model and one context. Its methods may be called from any thread; a lock runs one
at a time. `Generation.cancel` may be called from another thread at any time. Nothing is written to
disk. Opening a file that cannot be served raises ModelError.

The prefix shared with the previous call is not evaluated again: llama.cpp's KV cache is cut back to
the first token that differs, or to a saved state (`agent/llama/snapshots.py`). Changing the adapter
empties the cache, because its keys and values were computed under the previous adapter; where messages
alternate between two of them, each keeps its own.
"""

from __future__ import annotations

import codecs
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from agent.llama.batch.decoder import SEQUENCES, BatchDecoder, Task, by_length, run_alone
from agent.llama.batch.sequences import in_pages, open_sequences
from agent.llama.draw_token import TokenSampler
from agent.llama.generation import Generation, Piece
from agent.llama.gguf.adapter_check import FileState, file_state, inspect
from agent.llama.gguf.llama_file import ModelInfo, cache_bytes
from agent.llama.gguf.load_check import require_chat_model
from agent.llama.llama import AbortFlag, DecodeAborted, Llama
from agent.llama.logits import FloatArray, log_softmax, surprisal_of
from agent.llama.sampling_parameters import Sampling
from agent.llama.unloadable_llama import SavedCache, UnloadableLlama, closed_error, saved_cache
from memory.errors import ModelError
from memory.settings.paths import expanded

if TYPE_CHECKING:
    from memory.settings.settings import ModelSettings

T = TypeVar("T")
CACHE = 128 << 20
"""Bytes that the cache of prompts evaluated together may take on a model with a small context."""


@dataclass(frozen=True, slots=True)
class AdapterInUse:
    """The adapter that the model was last given; the base alone if there is no path."""

    path: Path | None = None
    file: FileState | None = None
    scale: float = 0.0


class Engine:
    """A served GGUF. Use `Engine.open`; close it, or use it as a context manager."""

    def __init__(self, path: Path, settings: ModelSettings | None = None) -> None:
        self._lock = threading.Lock()
        self._change = threading.Condition(self._lock)
        self._unloaded = self._closed = False
        self._running: Generation | None = None
        self._abort = AbortFlag()
        # Held only briefly; a signal handler may cancel on the thread that holds it.
        self._abort_lock = threading.RLock()
        self._adapter: Any = None
        self._in_use = AdapterInUse()
        self._other: tuple[AdapterInUse, SavedCache] | None = None
        """The KV cache of the adapter before, and which one that was."""
        self._model = UnloadableLlama(
            expanded(path).absolute(),
            context=settings.context if settings else 0,
            threads=settings.threads if settings else 0,
            gpu_layers=settings.gpu_layers if settings else -1,
            abort=self._abort,
        )
        self.info: ModelInfo = self._model.info

    @classmethod
    def open(cls, path: Path | str, settings: ModelSettings | None = None) -> Engine:
        """Load the GGUF at `path`; a child process tries it first (`agent/llama/gguf/load_check.py`).

        Raises:
            ModelError: it cannot be served, or the context does not fit into memory.
        """
        require_chat_model(Path(path))
        return cls(Path(path), settings)

    def close(self) -> None:
        """Free the model; calling it again does nothing."""
        with self._change:
            self._closed = True
            self._free_adapter()
            self._model.close()
            self._change.notify_all()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # --- unloading ---------------------------------------------------------------------------

    @property
    def unloaded(self) -> bool:
        """Whether the model is unloaded: whatever evaluates tokens waits for `restore`."""
        return self._unloaded

    @property
    def closed(self) -> bool:
        """Whether the model was freed for good: whatever needs it raises ModelError."""
        return self._closed

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded; false after a failed `restore`, until they are needed."""
        return not self._model.unloaded

    def unload(self) -> None:
        """Free the memory that the model takes until `restore`; waits for a reply to end.

        Text and tokens still work; replies, scores and adapters wait.
        """
        with self._change:
            if self._closed:
                return
            if not self._unloaded and not self._model.unloaded:
                self._free_adapter()
                self._other = None
                self._model.unload()
            self._unloaded = True

    def restore(self) -> None:
        """Load the model again with its adapter and its KV cache, and wake whatever waits for it.

        An adapter that is missing or damaged is left out; see `adapter`.

        Raises:
            ModelError: it cannot be loaded now; the next call that needs it tries again.
        """
        with self._change:
            self._unloaded = False
            try:
                self._load()
            finally:
                self._change.notify_all()

    def wait(self, given_up: Callable[[], bool]) -> None:
        """Wait until the model is no longer unloaded.

        Raises:
            ModelError: `given_up` returned true first, or the model cannot be loaded.
        """
        try:
            with self._held(given_up):
                return
        except DecodeAborted:
            raise ModelError(
                "the message was not sent because training is using the model's memory; send it "
                "again when training ends, or stop training with `/train stop`"
            ) from None

    @contextmanager
    def _held(self, given_up: Callable[[], bool] = lambda: False) -> Iterator[Llama]:
        """Hold the engine and yield its loaded model.

        Raises:
            DecodeAborted: it is unloaded, and `given_up` returned true.
            ModelError: it was closed, or it was unloaded and cannot be loaded again.
        """
        with self._change:
            while self._unloaded and not self._closed:
                if given_up():
                    raise DecodeAborted
                self._change.wait(0.1)
            if self._closed:
                raise closed_error()
            self._load()
            yield self._model.llama

    def _load(self) -> None:
        if self._closed or not self._model.unloaded:
            return
        self._adapter = self._model.restore(self._in_use.path, self._in_use.scale)
        if self._adapter is None:
            self._in_use = AdapterInUse()

    def _free_adapter(self) -> None:
        if self._adapter is not None:
            self._model.llama.free_adapter(self._adapter)
            self._adapter = None

    # --- text and tokens ---------------------------------------------------------------------

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Return the token ids of `text`; control tokens are only recognised with `special`."""
        return self._model.tokenize(text, special=special)

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of `tokens`, control tokens left out."""
        return b"".join(self._model.piece(token) for token in tokens).decode("utf-8", "replace")

    def bytes_of(self, token: int) -> bytes:
        """Return the bytes that a token represents; empty for control tokens."""
        return self._model.piece(token)

    def size_of(self, token: int) -> int:
        """Return the length in bytes of a token's text; 0 for control tokens."""
        return len(self._model.piece(token))

    def ends_turn(self, token: int) -> bool:
        """Whether the token closes the model's turn (<|im_end|>, <|endoftext|>)."""
        return self._model.ends_turn(token)

    @property
    def end_of_turn(self) -> int:
        """The token that closes a turn."""
        return self._model.end_of_turn

    # --- adapters ----------------------------------------------------------------------------

    @property
    def adapter(self) -> tuple[Path, float] | None:
        """The adapter in use and its scale; None for the base alone."""
        return (self._in_use.path, self._in_use.scale) if self._in_use.path else None

    def set_adapter(
        self, path: Path | None, scale: float = 1.0, *, keep_cache: bool = False
    ) -> None:
        """Use the GGUF LoRA at `path` from the next token on; None means the base alone.

        A file that is in use already is not loaded again, only its scale changes. The previous adapter
        stays in use when the new one is refused. With `keep_cache`, its KV cache is kept in ordinary
        memory until another adapter than these two is used.

        Raises:
            AdapterError: missing, malformed, or made for another base.
        """
        if path is not None:
            inspect(path, self.info.architecture)
        with self._held() as llama:
            before = self._in_use
            wanted = AdapterInUse(path, file_state(path), scale) if path else AdapterInUse()
            other, self._other = self._other, None
            saved = saved_cache(llama) if keep_cache and before != wanted else None
            if self._adapter is None or wanted.file != before.file:
                self._load_adapter(llama, path, scale)
            else:
                llama.apply_adapter(self._adapter, scale)
            self._in_use = wanted
            if saved is not None:
                self._other = before, saved
            if keep_cache and other is not None and other[0] == wanted:
                llama.restore_cache(other[1].tokens, other[1].state)

    def _load_adapter(self, llama: Llama, path: Path | None, scale: float) -> None:
        fresh = llama.load_adapter(path) if path is not None else None
        try:
            llama.apply_adapter(fresh, scale)
        except BaseException:
            if fresh is not None:
                llama.free_adapter(fresh)
            raise
        self._free_adapter()
        self._adapter = fresh

    # --- scoring -----------------------------------------------------------------------------

    def log_probabilities(self, tokens: Sequence[int], start: int) -> Iterator[FloatArray]:
        """Yield ln p(· | tokens[:i]) for i = start … len(tokens)−1, each of shape [vocabulary].

        `start` must be at least 1; the rows are copies.
        """
        if not 1 <= start <= len(tokens):
            raise ValueError(f"start must be between 1 and {len(tokens)}, not {start}")
        self._require_room(len(tokens))
        with self._held() as llama:
            kept = llama.keep_prefix(tokens, start - 1)
            todo = tokens[kept : len(tokens) - 1] if start < len(tokens) else []
            for row in llama.decode(todo, start - 1 - kept):
                yield log_softmax(row)

    def surprisal(self, prompt: Sequence[int], reply: Sequence[int]) -> FloatArray:
        """Return −ln p of each reply token after the prompt, in nats, shape [len(reply)]."""
        rows = self.log_probabilities([*prompt, *reply], len(prompt))
        return np.array(
            [-row[token] for row, token in zip(rows, reply, strict=True)], dtype=np.float32
        )

    # --- many prompts together -----------------------------------------------------------------

    def run_tasks(
        self, tasks: Sequence[Task[T]], *, together: int = SEQUENCES
    ) -> Generator[tuple[int, T]]:
        """Run the tasks, up to `together` at once, and yield (index, result) of each as it ends.

        They have the engine's adapter. Memory for a second context of at most the engine's own size, or
        CACHE bytes, is taken meanwhile; if it is not available, the tasks run one by one. Iterating
        holds the engine.

        Raises:
            ModelError: a task does not fit into the context.
        """
        self._require_room(max((task.longest for task in tasks), default=0))
        with self._held() as llama:
            for group in by_length(tasks):
                some = [tasks[number] for number in group]
                for place, result in self._run_group(llama, some, together):
                    yield group[place], result

    def _run_group(
        self, llama: Llama, tasks: Sequence[Task[T]], together: int
    ) -> Iterator[tuple[int, T]]:
        length = max(task.longest for task in tasks)
        room = max(self.info.context, CACHE // cache_bytes(self.info)) // in_pages(length)
        count = min(together, len(tasks), room)
        sequences = open_sequences(llama, count, length) if count > 1 else None
        if sequences is None:
            yield from run_alone(llama, tasks)
            return
        try:
            yield from BatchDecoder[T](sequences).run(tasks)
        finally:
            sequences.close()

    # --- generating --------------------------------------------------------------------------

    def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        measured: range = range(0),
        settled: int = 0,
    ) -> Generation:
        """Return the reply to `prompt` as a Generation; nothing is computed until it is iterated.

        `measured` (indices into `prompt`, not its first) are tokens whose surprisal is measured while
        the prompt is evaluated; they are evaluated again even if they are cached. The first `settled`
        tokens of the prompt are expected to begin the next one as well.

        Raises:
            ModelError: the prompt leaves no room for a reply.
        """
        if not prompt:
            raise ValueError("an empty prompt cannot be answered")
        self._require_room(len(prompt) + 1)
        if measured and not 1 <= measured.start < measured.stop <= len(prompt):
            raise ValueError(f"{measured} does not lie within the prompt after its first token")
        return Generation(self._generate, self._abort_decode, prompt, sampling, measured, settled)

    def _require_room(self, count: int) -> None:
        if count > self.info.context:
            raise ModelError(
                "{count} tokens do not fit into the context of {context}; shorten the message, or "
                "raise model.context in config.toml",
                count=count,
                context=self.info.context,
            )

    def _generate(self, generation: Generation) -> Generator[Piece]:
        try:
            with self._held(generation.is_cancelled) as llama:
                decoder = codecs.getincrementaldecoder("utf-8")("replace")
                with closing(llama.sampler(generation.sampling)) as sampler:
                    self._begin(generation)
                    try:
                        yield from self._draw(llama, generation, sampler, decoder)
                    finally:
                        generation.tail = decoder.decode(b"", final=True)
                        generation.text += generation.tail
                        self._begin(None)
        except DecodeAborted:
            generation.reason = "cancelled"

    def _begin(self, generation: Generation | None) -> None:
        """Note what is generated now, so that `Generation.cancel` stops that and nothing else."""
        with self._abort_lock:
            self._running = generation
            self._abort.clear()
            if generation is not None and generation.is_cancelled():
                self._abort.set()

    def _abort_decode(self, generation: Generation) -> None:
        with self._abort_lock:
            if self._running is generation:
                self._abort.set()

    def _draw(
        self,
        llama: Llama,
        generation: Generation,
        sampler: TokenSampler,
        decoder: codecs.IncrementalDecoder,
    ) -> Iterator[Piece]:
        prompt, measured = generation.prompt, generation.measured
        # The token before a measured one must be evaluated: its logits give the probability.
        at_most = min(len(prompt), measured.start or len(prompt)) - 1
        generation.reused = kept = llama.keep_prefix(prompt, at_most)
        llama.snapshots.want(min(generation.settled, at_most))
        most = min(generation.sampling.max_tokens, self.info.context - len(prompt))
        todo: Sequence[int] = prompt[kept:]
        wanted = range(measured.start - 1 - kept, measured.stop - 1 - kept)
        for _ in range(most):
            # Each row is read at once, because the next step of the evaluation overwrites it.
            for index, row in enumerate(llama.decode(todo, len(todo) - 1, wanted)):
                if index < len(wanted):
                    generation.prompt_surprisal.append(surprisal_of(row, prompt[measured[index]]))
            wanted = range(0)
            if generation.is_cancelled():
                return
            token = sampler.draw(row)
            surprisal = surprisal_of(row, token)
            if self.ends_turn(token):
                generation.reason = "end"
                return
            text = decoder.decode(self._model.piece(token))
            generation.tokens.append(token)
            generation.surprisal.append(surprisal)
            generation.text += text
            yield Piece(token, text, surprisal)
            if generation.is_cancelled():
                return
            todo = (token,)
        generation.reason = "length"
