"""Validate an adapter's GGUF before llama.cpp loads it.

llama.cpp trusts its files, and a bad one can crash it. The few keys and tensors that a LoRA for one of
our bases consists of are checked by name, size and value, and everything else is refused. All counts
have limits, so that a hostile file costs neither memory nor time.

Source of the format: the GGUF specification, version 3, and llama.cpp's keys for adapters.
"""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory.errors import AdapterError, FileError
from memory.files.bounded_read import open_file
from memory.sentence import Sentence

if TYPE_CHECKING:
    import numpy as np

MOST_TENSORS = 4096
"""Two tensors for each of seven matrices in 292 layers; no Qwen has half as many."""
MOST_KEYS = 64
LARGEST_RANK = 1024
_HEADER = struct.Struct("<4sIQQ")
_NAME = re.compile(r"blk\.\d{1,4}\.[a-z_]{3,24}\.weight\.lora_(?P<half>[ab])\Z")
_DTYPES = ("F16", "F32", "BF16")
REMEMBERED = 64
FileState = tuple[int, int, int, int, int]
passed: dict[tuple[FileState, str | None], None] = {}
"""Files that passed, the latest last, and the architecture for which."""


def inspect(path: Path, architecture: str | None = None) -> None:
    """Check that `path` is a complete LoRA with finite numbers, for `architecture` if given.

    A file that passed is checked again only once it has changed.

    Raises:
        AdapterError: it is not.
    """
    state = file_state(path)
    if state is None or (state, architecture) not in passed:
        _inspect(path, architecture)
    if state is not None and state == file_state(path):
        passed[state, architecture] = None
        while len(passed) > REMEMBERED:
            passed.pop(next(iter(passed)), None)


def file_state(path: Path) -> FileState | None:
    """Return a fingerprint of the file's identity and modification; None if it cannot be read."""
    try:
        about = path.stat()
    except (OSError, ValueError):
        return None
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def _inspect(path: Path, architecture: str | None) -> None:
    try:
        with open_file(path) as file:
            magic, version, tensors, keys = _HEADER.unpack(file.read(_HEADER.size))
    except (OSError, FileError, struct.error) as error:
        raise _refusal(path, Sentence("it is not a GGUF file, or its header is cut off")) from error
    if magic != b"GGUF" or version not in (2, 3):
        raise _refusal(path, Sentence("it is not a GGUF file of a supported version"))
    if not 2 <= tensors <= MOST_TENSORS:
        raise _refusal(
            path,
            Sentence(
                "its header lists {tensors} tensors (must be 2 to {most})",
                tensors=tensors,
                most=MOST_TENSORS,
            ),
        )
    if not 1 <= keys <= MOST_KEYS:
        raise _refusal(
            path,
            Sentence(
                "its header lists {keys} keys (must be 1 to {most})",
                keys=keys,
                most=MOST_KEYS,
            ),
        )
    import gguf

    try:
        reader = gguf.GGUFReader(path)
        fields = dict(reader.fields)
        named = {tensor.name: tensor for tensor in reader.tensors}
    except Exception as error:  # a damaged file can make the reader raise anything
        raise _refusal(path, Sentence("it is damaged or cut off")) from error
    _check_keys(path, fields, architecture)
    _check_tensors(path, named)


def _check_keys(path: Path, fields: dict[str, Any], architecture: str | None) -> None:
    known = ("GGUF.", "general.", "adapter.type", "adapter.lora.alpha")
    for name in fields:  # llama.cpp aborts on a known key of an unexpected type
        if not name.startswith(known) or name == "general.alignment":
            raise _refusal(
                path,
                Sentence(
                    "it contains the key {name!r}, which Discern's LoRA files do not have",
                    name=name[:60],
                ),
            )
    if (_word(fields, "general.type"), _word(fields, "adapter.type")) != ("adapter", "lora"):
        raise _refusal(path, Sentence("its header does not describe a LoRA"))
    found = _word(fields, "general.architecture")
    if architecture is not None and found != architecture:
        raise _refusal(
            path,
            Sentence(
                "it is for the architecture {found!r}, not {architecture!r}",
                found=found[:40],
                architecture=architecture,
            ),
        )
    alpha = fields.get("adapter.lora.alpha")
    if alpha is None or [kind.name for kind in alpha.types] != ["FLOAT32"]:
        raise _refusal(path, Sentence("its alpha is missing or not a 32-bit float"))
    if not math.isfinite(value := float(alpha.contents())) or value <= 0:
        raise _refusal(
            path, Sentence("its alpha is {alpha}, but must be finite and positive", alpha=value)
        )


def _word(fields: dict[str, Any], name: str) -> str:
    field = fields.get(name)
    if field is None or [kind.name for kind in field.types] != ["STRING"]:
        return ""
    try:
        return str(field.contents())
    except UnicodeDecodeError:
        return ""


def _check_tensors(path: Path, named: dict[str, Any]) -> None:
    ranks: dict[str, dict[str, int]] = {}
    for name, tensor in named.items():
        match = _NAME.match(name)
        if match is None:
            raise _refusal(
                path,
                Sentence(
                    "it contains the tensor {name!r}, which Discern's LoRA files do not have",
                    name=name[:60],
                ),
            )
        shape = [int(size) for size in tensor.shape]  # as ggml has it: columns first
        if len(shape) != 2 or tensor.tensor_type.name not in _DTYPES:
            raise _refusal(path, Sentence("its tensor {name} is not a plain matrix", name=name))
        rank = shape[1] if match["half"] == "a" else shape[0]
        if not 1 <= rank <= LARGEST_RANK:
            raise _refusal(
                path,
                Sentence("its tensor {name} has the unsupported rank {rank}", name=name, rank=rank),
            )
        if not _finite(tensor):
            raise _refusal(
                path, Sentence("its tensor {name} contains values that are not finite", name=name)
            )
        ranks.setdefault(name[:-1], {})[match["half"]] = rank
    for name, pair in ranks.items():
        if set(pair) != {"a", "b"} or pair["a"] != pair["b"]:
            raise _refusal(
                path, Sentence("its tensors {name}a and {name}b do not match", name=name)
            )


def _finite(tensor: Any) -> bool:
    import numpy as np

    data: np.ndarray = tensor.data
    # numpy converts float16 value by value; the bits of the exponent tell the same.
    exponent = {"BF16": 0x7F80, "F16": 0x7C00}.get(tensor.tensor_type.name)
    if exponent is None:
        return bool(np.isfinite(data).all())
    return bool(((data.view(np.uint16) & exponent) != exponent).all())


def _refusal(path: Path, cause: Sentence) -> AdapterError:
    return AdapterError(
        "the adapter {path} is invalid: {cause}; train again", path=path, cause=cause
    )
