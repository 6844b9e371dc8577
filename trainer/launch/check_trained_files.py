"""Validate the result of a training before anything else reads it.

A training may have run on another machine (`trainer/launch/launch.py`), so its folder is not trusted:
it may hold only the two files of a plain LoRA in PEFT's layout, which must be files and not links, and
the header of the weights must name matrices of layers, with sizes that fit the file. A pickle is never
opened. The export and the probe check that the numbers are finite and the shapes match the base.
"""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path

from memory.errors import AdapterError
from memory.files.bounded_read import open_file, parse_object, read_json
from memory.sentence import Sentence

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_MAY_BE_THERE = {WEIGHTS, CONFIG, "README.md", "adapter.gguf"}
_LARGEST_HEADER, _LARGEST_CONFIG = 16 << 20, 1 << 20
MOST_TENSORS = 4096
_NAME = re.compile(
    r"base_model\.model\.model\.layers\.\d{1,4}(\.[a-z_]{1,24}){2,3}\.lora_[AB]\.weight\Z"
)
_SIZES = {"F32": 4, "F16": 2, "BF16": 2}


def check(folder: Path) -> None:
    """Check that `folder` holds a plain LoRA and nothing else.

    Raises:
        AdapterError: it does not; nothing was loaded.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise AdapterError(
            "the training did not create the folder {folder}; train again", folder=folder
        )
    for entry in folder.iterdir():
        if entry.name not in _MAY_BE_THERE:
            raise _refusal(folder, Sentence("unexpected file {name!r}", name=entry.name[:60]))
        if entry.is_symlink() or not entry.is_file():
            raise _refusal(
                folder, Sentence("{name} is a link or not a regular file", name=entry.name)
            )
    for name in (WEIGHTS, CONFIG):
        if not (folder / name).is_file():
            raise _refusal(folder, Sentence("{name} is missing", name=name))
    _check_config(folder)
    _check_weights(folder)


def _check_config(folder: Path) -> None:
    path = folder / CONFIG
    try:
        config = read_json(path, _LARGEST_CONFIG)
        kind, rank, alpha = config["peft_type"], int(config["r"]), float(config["lora_alpha"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _refusal(folder, Sentence("{config} is damaged", config=CONFIG)) from error
    if kind != "LORA" or not 1 <= rank <= 1024 or not math.isfinite(alpha) or alpha <= 0:
        raise _refusal(
            folder,
            Sentence("{config} does not describe a plain LoRA", config=CONFIG),
        )


def _check_weights(folder: Path) -> None:
    """Check the header of the safetensors file: a length, and JSON of that length."""
    path = folder / WEIGHTS
    try:
        size = path.stat().st_size
        with open_file(path) as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if not 2 <= length <= min(_LARGEST_HEADER, size - 8):
                raise ValueError
            header = parse_object(file.read(length))
        header.pop("__metadata__", None)
        room = size - 8 - length
        if len(header) > MOST_TENSORS:
            raise _refusal(
                folder,
                Sentence(
                    "it contains {count} tensors (at most {most} allowed)",
                    count=len(header),
                    most=MOST_TENSORS,
                ),
            )
        end = 0
        for name, tensor in header.items():
            if not _NAME.match(name):
                raise _refusal(
                    folder,
                    Sentence(
                        "it contains {name!r}, which is not half of a LoRA pair", name=name[:80]
                    ),
                )
            first, last = tensor["data_offsets"]
            rows, columns = (int(number) for number in tensor["shape"])
            wanted = rows * columns * _SIZES[tensor["dtype"]]
            if min(rows, columns) < 1 or not 0 <= first <= last <= room or last - first != wanted:
                raise ValueError
            end = max(end, last)
        if not header or end != room:
            raise ValueError
    except (OSError, struct.error, ValueError, TypeError, KeyError) as error:
        if isinstance(error, AdapterError):
            raise
        raise _refusal(
            folder, Sentence("{weights} is damaged or incomplete", weights=WEIGHTS)
        ) from error


def _refusal(folder: Path, why: Sentence) -> AdapterError:
    return AdapterError(
        "the adapter in {folder} is invalid: {why}; train again", folder=folder, why=why
    )
