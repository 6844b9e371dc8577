"""Load the served GGUF as a torch model, with the same weights that the adapter will be used with.

A GGUF of any quantisation is dequantised into a transformers model, as described by the row of its
architecture (`agent/llama/gguf/architectures.py`). No tokenizer is needed: training uses the token ids
that `trainer/lessons/lessons.py` made with the served vocabulary. Needs torch, transformers and gguf;
nothing is written.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.llama.gguf.architectures import ARCHITECTURES, ROTARY_FACTORS, Architecture
from agent.llama.gguf.header import read_header
from agent.llama.gguf.model_shape import WINDOW, Rope, Shape
from agent.llama.gguf.shape_reader import read_shape
from memory.errors import ModelError, cause_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from transformers import PreTrainedModel

    Tensors = dict[str, Callable[[], torch.Tensor]]


def load_base(
    path: Path, *, dtype: torch.dtype | None = None, device: str = "cpu"
) -> PreTrainedModel:
    """Return the GGUF at `path` as a frozen causal language model in eval mode.

    `dtype` is float32 unless given. Logits agree with llama.cpp's to about 0.05.

    Raises:
        ModelError: it is missing, damaged, of another architecture, or lacks a tensor.
    """
    import torch

    dtype = dtype or torch.float32
    header = read_header(path)
    shape = read_shape(header, path)
    try:
        tensors = _read(path)
    except Exception as error:  # any error that a damaged file causes
        raise ModelError(
            "cannot read the model {path}: {error}; choose another GGUF",
            path=path,
            error=cause_of(error),
        ) from error
    row = ARCHITECTURES[header.architecture]
    model = _empty_model(row, shape, tensors)
    state: dict[str, torch.Tensor] = {}
    for key, expected in model.state_dict().items():
        if key == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        names = row.gguf_names(key)
        if key.endswith(".bias") and not tensors.keys() & set(names):
            state[key] = torch.zeros(expected.shape, device=device, dtype=dtype)
            continue
        for name in names or (key,):
            if name not in tensors:
                raise ModelError(
                    "the model {path} has no tensor {name}; choose another GGUF",
                    path=path,
                    name=name,
                )
        value = _to_torch(row, shape, key, [tensors[name]() for name in names])
        if value.shape != expected.shape:
            raise ModelError(
                "the tensor {name} of {path} has the shape {shape} instead of {expected}; "
                "choose another GGUF",
                name=names[0],
                path=path,
                shape=tuple(value.shape),
                expected=tuple(expected.shape),
            )
        state[key] = value.to(device=device, dtype=dtype)
    model.load_state_dict(state, strict=False, assign=True)
    _complete(model, shape, tensors, device)
    return model.requires_grad_(False).eval()


def _to_torch(row: Architecture, shape: Shape, key: str, parts: list[torch.Tensor]) -> torch.Tensor:
    """Return a parameter as torch stores it, from the tensors of the GGUF."""
    import torch

    value = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
    match row.stored_as(key):
        case "plus one":
            value = value.float() - 1
        case "minus exp":
            value = (-value.float()).log()
    if (order := row.row_order(key, shape)) is not None and len(order) == value.shape[0]:
        value = value[torch.from_numpy(order.argsort())]
    if (order := row.column_order(key, shape)) is not None and len(order) == value.shape[-1]:
        value = value[:, torch.from_numpy(order.argsort())]
    if key.endswith(".conv1d.weight"):
        return value.unsqueeze(1)
    return value[None] if key.endswith(".shared_expert_gate.weight") else value


def count_layers(path: Path) -> int:
    """Return the number of layers; only the header of the GGUF is read."""
    return read_shape(read_header(path), path).layers


def _read(path: Path) -> dict[str, Callable[[], torch.Tensor]]:
    """Return a function for each tensor name that dequantises the tensor."""
    from transformers.integrations.gguf.reader import GgufHeader, load_gguf_state_dict

    try:
        header = GgufHeader.from_file(str(path))
    except ValueError:
        return _read_slowly(path)  # a type that only the gguf package supports, such as Q5_0
    shapes = {info.name: info.shape for info in header.tensors}

    def reader(name: str, lazy: Any) -> Callable[[], torch.Tensor]:
        return lambda: _plain(lazy[:], lazy.ggml_type, shapes[name])

    return {name: reader(name, lazy) for name, lazy in load_gguf_state_dict(header).items()}


def _read_slowly(path: Path) -> dict[str, Callable[[], torch.Tensor]]:
    import gguf
    import torch

    def reader(tensor: Any) -> Callable[[], torch.Tensor]:
        # gguf's own dequantiser works in numpy; it returns the rows in torch's order.
        return lambda: torch.from_numpy(gguf.dequantize(tensor.data, tensor.tensor_type).copy())

    return {tensor.name: reader(tensor) for tensor in gguf.GGUFReader(path).tensors}


def _plain(data: torch.Tensor, kind: int, shape: tuple[int, ...]) -> torch.Tensor:
    from transformers.integrations.gguf.dequant import GGML_BLOCK, dequantize

    return dequantize(data.reshape(-1), kind).reshape(shape) if kind in GGML_BLOCK else data


def _empty_model(row: Architecture, shape: Shape, tensors: Tensors) -> PreTrainedModel:
    import torch

    module, _, name = row.model_class.partition(".")
    kind = getattr(import_module(f"transformers.models.{module}"), name)
    config = kind.config_class(
        vocab_size=tensors["token_embd.weight"]().shape[0],
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head,
        max_position_embeddings=shape.context,
        rms_norm_eps=shape.eps,
        rope_parameters=_rope(row, shape),
        tie_word_embeddings="output.weight" not in tensors,
        pad_token_id=None,
        **row.config(shape, tensors.keys()),
    )
    with torch.device("meta"):
        model: PreTrainedModel = kind(config)
    return model


def _rope(row: Architecture, shape: Shape) -> dict[str, Any]:
    """Return transformers' RoPE parameters; with sliding windows, one set per kind of layer."""
    rope = shape.rope
    found: dict[str, Any] = {"rope_type": rope.kind, "rope_theta": rope.theta}
    if rope.kind != "default":
        found["factor"] = rope.factor
    if rope.kind == "yarn":
        found["original_max_position_embeddings"] = rope.original
    if rope.size != shape.head:
        found["partial_rotary_factor"] = rope.size / shape.head
    if not row.window:
        return found
    window = {"rope_type": "default", "rope_theta": rope.theta_window}
    return {"full_attention": found, WINDOW: window}


def _complete(model: PreTrainedModel, shape: Shape, tensors: Tensors, device: str) -> None:
    """Set tied embeddings and the buffers: rotary frequencies and the scale of embeddings."""
    import torch

    inner = model.model
    if model.config.tie_word_embeddings:
        model.lm_head.weight = inner.embed_tokens.weight
    inner.rotary_emb = _rotary(inner.rotary_emb, shape.rope, tensors).to(device)
    if (scale := getattr(inner.embed_tokens, "scalar_embed_scale", None)) is not None:
        inner.embed_tokens.embed_scale = torch.tensor(scale, device=device)
    unset = [name for name, buffer in model.named_buffers() if buffer.is_meta]
    if unset:
        raise RuntimeError(f"{unset[0]} of the torch model has no value")


def _rotary(empty: Any, rope: Rope, tensors: Tensors) -> Any:
    """Return the rotary embedding with the frequencies that llama.cpp uses.

    Llama 3 scales each frequency by its own factor, which the GGUF stores as a tensor.
    """
    rotary = type(empty)(config=empty.config)
    if (factors := tensors.get(ROTARY_FACTORS)) is not None:
        rotary.inv_freq /= factors()
        rotary.original_inv_freq = rotary.inv_freq.clone()
    for name in [name for name in vars(rotary) if name.endswith("attention_scaling")]:
        setattr(rotary, name, getattr(rotary, name) * rope.attention)
    return rotary
