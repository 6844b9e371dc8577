"""Merge an adapter into its base: W + scale · alpha / rank · B·A, computed in float32, then quantised.

The tensors that the adapter changes are written in float32 into a file next to the target and the
others are copied, one tensor at a time, so that memory holds one tensor. llama.cpp's quantiser turns
that file into the target, which appears under its name only when it is complete. Source of the scale:
llama.cpp's `llama_adapter_lora_weight::get_scale`.

An adapter of another architecture or shape is refused.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agent.llama.gguf.llama_file import quantise
from agent.models.models import BYTES_PER_WEIGHT
from memory.errors import AdapterError, HomeError, ModelError, cause_of
from memory.files.atomic_write import whole

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from agent.adapters import Adapter

    FloatArray = npt.NDArray[np.float32]

Quant = Literal["f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m"]
_SPARE = 64 << 20


def merge(
    base: Path,
    adapter: Adapter,
    target: Path,
    *,
    quant: Quant = "q8_0",
    name: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write the GGUF `base` with `adapter` merged into its weights to `target`; return `target`.

    `progress` receives the tensors done and in total; quantisation follows the last one.

    Raises:
        ModelError: the base cannot be read, or llama.cpp cannot quantise it.
        AdapterError: the adapter cannot be read or does not fit the base.
        HomeError: the disk is full.
    """
    import gguf

    try:
        reader = gguf.GGUFReader(base)
    except FileNotFoundError:
        raise ModelError(
            "there is no model at {base}; check model.path in config.toml", base=base
        ) from None
    except Exception as error:  # any error that a damaged header causes
        raise ModelError(
            "cannot read the model {base}: {error}; choose another GGUF",
            base=base,
            error=cause_of(error),
        ) from error
    pairs = _pairs(adapter.gguf, reader, adapter.manifest.scale)
    _require_room(reader, pairs, target, quant)
    try:
        with whole(target) as part:
            unquantised = part.with_name(f"{target.name}.unquantised")
            _write(reader, pairs, unquantised, name, progress)
            quantise(unquantised, part, quant)
    except OSError as error:
        raise HomeError(
            "cannot write {target}: {strerror}; free up space or choose another location",
            target=target,
            strerror=error.strerror,
        ) from error
    return target


def _pairs(adapter: Path, base: Any, scale: float) -> dict[str, Callable[[FloatArray], FloatArray]]:
    """Return for each tensor that the adapter changes the function that adds its part."""
    import gguf

    try:
        reader = gguf.GGUFReader(adapter)
        alpha = float(reader.fields[gguf.Keys.Adapter.LORA_ALPHA].contents())
        architecture = reader.fields[gguf.Keys.General.ARCHITECTURE].contents()
    except Exception as error:
        raise AdapterError(
            "cannot read the adapter {adapter}: {error}; train again",
            adapter=adapter,
            error=cause_of(error),
        ) from error
    if architecture != base.fields[gguf.Keys.General.ARCHITECTURE].contents():
        raise AdapterError(
            "the adapter {adapter} is for {architecture}, but the base model has another "
            "architecture",
            adapter=adapter,
            architecture=architecture,
        )
    shapes = {tensor.name: tuple(int(n) for n in tensor.shape[::-1]) for tensor in base.tensors}
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    made: dict[str, Callable[[FloatArray], FloatArray]] = {}
    for key in tensors:
        touched, _, half = key.rpartition(".")
        if half != "lora_a":
            continue
        a = gguf.dequantize(tensors[key].data, tensors[key].tensor_type)
        other = tensors.get(f"{touched}.lora_b")
        if other is None or touched not in shapes:
            raise AdapterError(
                "the adapter {adapter} does not fit this base model: no match for {tensor}",
                adapter=adapter,
                tensor=touched,
            )
        b = gguf.dequantize(other.data, other.tensor_type)
        if (b.shape[0], a.shape[1]) != shapes[touched]:
            raise AdapterError(
                "the adapter {adapter} does not fit {tensor}: {rows}×{columns} instead of "
                "{expected}; it was made for another base model",
                adapter=adapter,
                tensor=touched,
                rows=b.shape[0],
                columns=a.shape[1],
                expected=shapes[touched],
            )
        factor = scale * (alpha / a.shape[0] if alpha else 1.0)
        made[touched] = _adder(a, b, factor)
    if not made:
        raise AdapterError(
            "the adapter {adapter} contains no LoRA pairs; train again", adapter=adapter
        )
    return made


def _adder(a: FloatArray, b: FloatArray, factor: float) -> Callable[[FloatArray], FloatArray]:
    def add(weight: FloatArray) -> FloatArray:
        weight += factor * (b @ a)
        return weight

    return add


def _require_room(reader: Any, pairs: dict[str, Any], target: Path, quant: Quant) -> None:
    """Raise HomeError before anything is written when the disk lacks room."""
    touched = sum(
        int(t.n_elements) * 4 if t.name in pairs else int(t.n_bytes) for t in reader.tensors
    )
    final = sum(int(t.n_elements) for t in reader.tensors) * BYTES_PER_WEIGHT[quant]
    folder = target.absolute().parent
    if not folder.is_dir():
        raise HomeError("the folder {folder} does not exist; create it first", folder=folder)
    free = shutil.disk_usage(folder).free
    if free < touched + final + _SPARE:
        raise HomeError(
            "merging needs {size:.1f} GB of temporary space in {folder}, but only {free:.1f} GB "
            "are free; free up space or choose another location",
            size=(touched + final) / 1e9,
            folder=folder,
            free=free / 1e9,
        )


def _write(
    reader: Any,
    pairs: dict[str, Callable[[FloatArray], FloatArray]],
    target: Path,
    name: str,
    progress: Callable[[int, int], None],
) -> None:
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(
        target, reader.fields[gguf.Keys.General.ARCHITECTURE].contents(), use_temp_file=False
    )
    skipped = (gguf.Keys.General.ARCHITECTURE, gguf.Keys.General.FILE_TYPE)
    for field in reader.fields.values():
        if field.name in skipped or field.name.startswith("GGUF."):
            continue
        value, kind = field.contents(), field.types[0]
        if field.name == gguf.Keys.General.NAME and name:
            value = name
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, kind, sub_type=inner)
    for tensor in reader.tensors:
        if tensor.name in pairs:
            shape = tuple(int(n) for n in tensor.shape[::-1])
            size = int(tensor.n_elements) * 4
            writer.add_tensor_info(tensor.name, shape, np.dtype(np.float32), size)
        else:
            data = tensor.data
            writer.add_tensor_info(
                tensor.name, data.shape, data.dtype, data.nbytes, tensor.tensor_type
            )
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for done, tensor in enumerate(reader.tensors, 1):
            add = pairs.get(tensor.name)
            writer.write_tensor_data(add(_floats(tensor)) if add else tensor.data)
            progress(done, len(reader.tensors))
    finally:
        writer.close()


def _floats(tensor: Any) -> FloatArray:
    """Return a tensor's values in float32, as a copy, out × in.

    The torch dequantiser is some twenty times faster than gguf's own; it does not know every type.
    """
    import gguf
    import numpy as np
    import torch
    from transformers.integrations.gguf.dequant import GGML_BLOCK, dequantize

    shape = tuple(int(n) for n in tensor.shape[::-1])
    if tensor.tensor_type in GGML_BLOCK:
        flat = torch.from_numpy(np.array(tensor.data)).reshape(-1)
        plain = dequantize(flat, int(tensor.tensor_type)).to(torch.float32)
        return np.ascontiguousarray(plain.numpy().reshape(shape))
    values: FloatArray = gguf.dequantize(tensor.data, tensor.tensor_type)
    return np.array(values, dtype=np.float32)
