"""Load a GGUF with llama.cpp: the model handle, its metadata and vocabulary, and load errors.

Used by the chat model (`agent/llama/llama.py`) and the embedding model (`agent/llama/embedding.py`).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from memory.errors import AdapterError, FileError, ModelError
from memory.files.bounded_read import open_file
from memory.sentence import Sentence

COMPUTING = 400 << 20
"""Bytes of graphics memory for compute buffers and the driver."""
SMALL_MODEL = 50_000_000
_TEMPLATE_KEY = "tokenizer.chat_template"
_ERROR = 4  # GGML_LOG_LEVEL_ERROR in ggml.h


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A template ("" for none) and the texts of the two tokens that templates refer to by name."""

    text: str
    bos: str = ""
    eos: str = ""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts about a loaded GGUF. `context` is the window in use, in tokens."""

    path: Path
    name: str
    architecture: str
    description: str
    parameters: int
    size: int
    vocabulary: int
    context: int
    context_trained: int
    template: ChatTemplate
    metadata: dict[str, str]
    begin: int | None = None
    """The token that the vocabulary puts at the start of every prompt; None if it puts none."""


class ErrorLog:
    """Keeps llama.cpp's error lines, which name the cause of a failed load."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._callback: Any = None

    def listen(self) -> None:
        """Start listening, with no lines kept."""
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


log = ErrorLog()


def require_gguf(path: Path, error: type[ModelError] | type[AdapterError]) -> None:
    """Raise `error` unless `path` is a readable file that begins like a GGUF.

    A path that is not UTF-8 is refused too: settings, journal and reports could not store it.
    """
    what = Sentence("model") if issubclass(error, ModelError) else Sentence("adapter")
    if (why := _why_no_gguf(path, what)) is not None:
        raise error(why)


def _why_no_gguf(path: Path, what: Sentence) -> Sentence | None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return Sentence(
            "the path {shown} of the {what} is not valid UTF-8; rename the file or the folder",
            what=what,
            shown=os.fsencode(path).decode("utf-8", "backslashreplace"),
        )
    try:
        with open_file(path) as file:
            magic = file.read(4)
    except FileNotFoundError:
        return Sentence(
            "there is no {what} at {path}; check the path in config.toml or on the command line",
            what=what,
            path=path,
        )
    except (OSError, FileError) as cause:
        why = cause.cause if isinstance(cause, FileError) else cause.strerror
        return Sentence(
            "cannot read the {what} {path}: {why}; check its path", what=what, path=path, why=why
        )
    if magic != b"GGUF":
        return Sentence(
            "{path} is not a GGUF file; choose a {what} in GGUF format", path=path, what=what
        )
    return None


def physical_threads() -> int:
    """Return the number of compute threads: the usable processors, halved with hyper-threading."""
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        siblings = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list").read_text()
    except OSError:
        return usable
    shared = siblings.strip() not in ("0", "") and usable > 2
    return max(1, usable // 2) if shared else usable


def load_model(path: Path, gpu_layers: int, *, vocabulary_only: bool = False) -> Any:
    """Return llama.cpp's handle of the GGUF at `path`, or of its vocabulary alone; the caller frees it.

    Raises:
        ModelError: missing, unreadable, truncated, or not supported by llama.cpp.
    """
    import llama_cpp

    require_gguf(path, ModelError)
    log.listen()
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = gpu_layers
    params.vocab_only = vocabulary_only
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ModelError(
            "cannot load the model {path}: {cause}; it is damaged or not supported: choose "
            'another GGUF, or set model.path to "" to use the starter model',
            path=path,
            cause=log.cause,
        )
    return model


class Vocabulary:
    """Text and tokens of a loaded model, whose handle it owns."""

    def __init__(self, model: Any) -> None:
        """`model` comes from `load_model`."""
        import llama_cpp

        self._llama, self._model = llama_cpp, model
        self.handle = llama_cpp.llama_model_get_vocab(model)
        self.size = int(llama_cpp.llama_vocab_n_tokens(self.handle))

    def close(self) -> None:
        """Free the model; calling it again does nothing."""
        if self._model:
            self._llama.llama_model_free(self._model)
        self._model = None

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the token ids of `text`; control tokens are only recognised with `special`."""
        data = text.encode("utf-8", "replace")
        size = len(data) + 8
        tokens = (ctypes.c_int32 * size)()
        count = self._llama.llama_tokenize(
            self.handle, data, len(data), tokens, size, False, special
        )
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        """Return the bytes that a token represents; empty for control tokens."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = self._llama.llama_token_to_piece(self.handle, token, buffer, size, 0, False)
            if count >= 0:
                return bytes(buffer.raw[:count])
            size = -count

    def text_of(self, token: int) -> str:
        """Return the text of a token, control tokens too; "" for one that does not exist."""
        if not 0 <= token < self.size:
            return ""
        text: bytes = self._llama.llama_vocab_get_text(self.handle, token)
        return text.decode("utf-8", "replace")

    def ends_turn(self, token: int) -> bool:
        """Whether the token closes a turn."""
        return bool(self._llama.llama_vocab_is_eog(self.handle, token))

    @property
    def begin(self) -> int | None:
        """The token that begins every prompt of this vocabulary; None if none does."""
        wanted = self._llama.llama_vocab_get_add_bos(self.handle)
        token = int(self._llama.llama_vocab_bos(self.handle))
        return token if wanted and token >= 0 else None

    @cached_property
    def end_of_turn(self) -> int:
        """The token with which the chat template closes a turn.

        A file may declare another one too (SmolLM2: <|endoftext|>), which the model never uses there.
        """
        declared = (
            int(self._llama.llama_vocab_eot(self.handle)),
            int(self._llama.llama_vocab_eos(self.handle)),
        )
        template = read_metadata(self._model).get("tokenizer.chat_template", "")
        known = [token for token in declared if token >= 0]
        written = [token for token in known if self.text_of(token) in template]
        return (written or known or [-1])[0]


def on_card(info: ModelInfo, gpu_layers: int) -> int:
    """Return about how many bytes of GPU memory a model and its context take; 0 without a GPU."""
    import llama_cpp

    if not gpu_layers or not llama_cpp.llama_supports_gpu_offload():
        return 0
    return info.size + info.context * cache_bytes(info) + COMPUTING


def cache_bytes(info: ModelInfo) -> int:
    """Return about how many bytes the keys and values of one token take in the cache; at least 1."""
    values, name = info.metadata, info.architecture
    heads = int(values.get(f"{name}.attention.head_count", 1))
    width = int(values.get(f"{name}.embedding_length", 0)) // heads
    width = int(values.get(f"{name}.attention.key_length", width))
    rows = int(values.get(f"{name}.attention.head_count_kv", heads)) * width
    layers = int(values.get(f"{name}.block_count", 0))
    return max(1, 2 * 2 * layers * rows)


def read_metadata(model: Any) -> dict[str, str]:
    """Return the key-value pairs of a loaded GGUF, the values as text."""
    import llama_cpp

    def read(by_index: Any, index: int) -> str:
        size = 1024
        while True:
            buffer = ctypes.create_string_buffer(size)
            needed = by_index(model, index, buffer, size)
            if needed < size:
                return buffer.value.decode("utf-8", "replace")
            size = needed + 1

    return {
        read(llama_cpp.llama_model_meta_key_by_index, index): read(
            llama_cpp.llama_model_meta_val_str_by_index, index
        )
        for index in range(llama_cpp.llama_model_meta_count(model))
    }


def chat_template(metadata: Mapping[str, Any], text_of: Callable[[int], str]) -> ChatTemplate:
    """Return the template of a model file's `metadata`; `text_of` returns the text of a token id."""

    def token(name: str) -> str:
        number = str(metadata.get(f"tokenizer.ggml.{name}_token_id"))
        return text_of(int(number)) if number.isdecimal() else ""

    return ChatTemplate(_default_template(metadata), token("bos"), token("eos"))


def _default_template(metadata: Mapping[str, Any]) -> str:
    """Return the default one of several templates; "" for none.

    Tools are written into the system prompt (`agent/prompt/tool_calls.py`), so a template for tools
    is used only if it is the only one.
    """
    plain = metadata.get(_TEMPLATE_KEY)
    if isinstance(plain, str) and plain:
        return plain
    named = {key.removeprefix(f"{_TEMPLATE_KEY}."): text for key, text in metadata.items()
             if key.startswith(f"{_TEMPLATE_KEY}.") and isinstance(text, str)}  # fmt: skip
    order = ("default", "tool_use", *sorted(named))
    return next((named[name] for name in order if named.get(name)), "")


def quantise(source: Path, target: Path, kind: str) -> None:
    """Write the GGUF `source` to `target` in another precision; blocks until it is done.

    `kind`: f16, q8_0, q6_k, q5_k_m or q4_k_m. For tensors that a kind does not fit, llama.cpp takes
    the nearest one that does; tensors that already have the type are copied.

    Raises:
        ModelError: llama.cpp failed.
    """
    import llama_cpp

    kinds = {
        "f16": llama_cpp.LLAMA_FTYPE_MOSTLY_F16,
        "q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
        "q6_k": llama_cpp.LLAMA_FTYPE_MOSTLY_Q6_K,
        "q5_k_m": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_K_M,
        "q4_k_m": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    }
    log.listen()
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = kinds[kind]
    params.nthread = physical_threads()
    params.allow_requantize = True
    failed = llama_cpp.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(params)
    )
    if failed:
        raise ModelError(
            "llama.cpp could not quantize {source} to {kind}: {cause}",
            source=source,
            kind=kind,
            cause=log.cause,
        )


def threads_for(model: Any) -> int:
    """Return the number of threads for a loaded model."""
    import llama_cpp

    # A model this small loses more time synchronising threads than it gains from them.
    small = llama_cpp.llama_model_n_params(model) < SMALL_MODEL
    return 1 if small else physical_threads()
