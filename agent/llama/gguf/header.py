"""Read a GGUF's header in a few milliseconds, without loading the model.

Of long lists, such as the vocabulary, only the length is kept. A file that is not a GGUF, is truncated,
or has impossible sizes raises ModelError. Source: the GGUF specification, versions 2 and 3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

from agent.llama.gguf.llama_file import ChatTemplate, chat_template, require_gguf
from memory.errors import ModelError
from memory.files.bounded_read import open_file

LONGEST_TEXT = 1 << 24
MAX_HEADER_ENTRIES = 1 << 20
"""Entries and tensors a header may have."""
MAX_LIST_NUMBERS = 512
"""Numbers of a list that are kept: one for each layer, and llama.cpp has no more layers than this."""
_PLAIN = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9
_TOKENS = "tokenizer.ggml.tokens"


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of `count` values; the values themselves are kept if they are numbers and few."""

    count: int
    values: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"a list of {self.count:,}"


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The values by key, a list as `Listed`, the names of the tensors, and the chat template.

    `parameters` is the number of weights.
    """

    values: dict[str, Any]
    parameters: int
    tensors: frozenset[str]
    template: ChatTemplate

    @property
    def architecture(self) -> str:
        """Such as qwen3."""
        return str(self.values.get("general.architecture", "?"))

    def own(self, key: str, default: Any = None) -> Any:
        """Return the architecture's own value, such as `context_length`."""
        return self.values.get(f"{self.architecture}.{key}", default)


def read_header(path: Path) -> GgufHeader:
    """Return the header of the GGUF at `path`.

    Raises:
        ModelError: missing, unreadable, or not a whole GGUF header.
    """
    require_gguf(path, ModelError)
    try:
        with open_file(path) as file:
            return _read(file)
    except (OSError, ValueError, OverflowError) as error:
        raise ModelError(
            "cannot read the header of {path} ({error}); the file is damaged or cut off",
            path=path,
            error=error,
        ) from error


def _read(file: IO[bytes]) -> GgufHeader:
    file.seek(4)
    version = _number(file, "I")
    if version not in (2, 3):
        raise ValueError(f"GGUF version {version}")
    tensors, entries = _number(file, "Q"), _number(file, "Q")
    if tensors > MAX_HEADER_ENTRIES or entries > MAX_HEADER_ENTRIES:
        raise ValueError(f"{tensors} tensors and {entries} entries")
    values: dict[str, Any] = {}
    tokens: list[str] = []
    for _ in range(entries):
        key = _text(file)
        values[key] = _value(file, _number(file, "I"), tokens if key == _TOKENS else None)
    weights = 0
    names: set[str] = set()
    for _ in range(tensors):
        names.add(_text(file))
        dimensions = _number(file, "I")
        if dimensions > 8:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        weights += prod(_number(file, "Q") for _ in range(dimensions))
        _number(file, "I")
        _number(file, "Q")

    def text_of(token: int) -> str:
        return tokens[token] if 0 <= token < len(tokens) else ""

    return GgufHeader(values, weights, frozenset(names), chat_template(values, text_of))


def _number(file: IO[bytes], kind: str) -> Any:
    data = file.read(struct.calcsize(kind))
    try:
        return struct.unpack(f"<{kind}", data)[0]
    except struct.error:
        raise ValueError("the file ends within it") from None


def _text(file: IO[bytes]) -> str:
    size = _number(file, "Q")
    if size > LONGEST_TEXT:
        raise ValueError(f"a text of {size} bytes")
    data = file.read(size)
    if len(data) < size:
        raise ValueError("the file ends within a text")
    return data.decode("utf-8", "replace")


def _value(file: IO[bytes], kind: int, texts: list[str] | None = None) -> Any:
    """Read a value of type `kind`; the texts of a list are appended to `texts`."""
    if kind == _TEXT:
        return _text(file)
    if kind != _LIST:
        if kind not in _PLAIN:
            raise ValueError(f"a value of the kind {kind}")
        return _number(file, _PLAIN[kind])
    inner, count = _number(file, "I"), _number(file, "Q")
    if inner in _PLAIN and count <= MAX_LIST_NUMBERS:
        return Listed(count, tuple(_number(file, _PLAIN[inner]) for _ in range(count)))
    if inner in _PLAIN:
        file.seek(struct.calcsize(_PLAIN[inner]) * count, 1)
    else:
        if count > MAX_HEADER_ENTRIES:
            raise ValueError(f"a list of {count}")
        for _ in range(count):
            value = _value(file, inner)
            if texts is not None and inner == _TEXT:
                texts.append(value)
    return Listed(count)
