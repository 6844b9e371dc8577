"""Load the served GGUF as a torch model, with the same weights that the adapter will be used with.

A GGUF of any quantisation is dequantised into a transformers model, as the row of its architecture
(`agent/llama/architectures.py`) says. No tokenizer is needed: training uses the token ids that
`trainer/lessons/lessons.py` made with the served vocabulary. Linear rope scaling is applied as in
llama.cpp, other kinds are refused. Needs torch, transformers and gguf; nothing is written.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.llama.architectures import ARCHITECTURES, Architecture, Shape
from agent.llama.gguf_header import Header, read_header
from agent.llama.model_shape import read_shape
from memory.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from transformers import PreTrainedModel


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
    shape = require_trainable(header, path)
    try:
        tensors = _read(path)
    except Exception as error:  # any error that a damaged file causes
        raise ModelError(
            "cannot read the model {path}: {error}; choose another GGUF", path=path, error=error
        ) from error
    architecture = ARCHITECTURES[header.architecture]
    model = _empty_model(architecture, shape, tensors)
    state: dict[str, torch.Tensor] = {}
    for key, expected in model.state_dict().items():
        if key == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        name = architecture.gguf_name(key) or key
        if name not in tensors and key.endswith(".bias"):
            state[key] = torch.zeros(expected.shape, device=device, dtype=dtype)
            continue
        if name not in tensors:
            raise ModelError(
                "the model {path} has no tensor {name}; choose another GGUF", path=path, name=name
            )
        value = tensors[name]()
        if value.shape != expected.shape:
            raise ModelError(
                "the tensor {name} of {path} has the shape {shape} instead of {expected}; "
                "choose another GGUF",
                name=name,
                path=path,
                shape=tuple(value.shape),
                expected=tuple(expected.shape),
            )
        if (order := architecture.row_order(key, shape)) is not None:
            value = value[torch.from_numpy(order.argsort())]
        state[key] = value.to(device=device, dtype=dtype)
    model.load_state_dict(state, strict=False, assign=True)
    if model.config.tie_word_embeddings:
        model.lm_head.weight = model.model.embed_tokens.weight
    model.model.rotary_emb = _rotary(model, tensors).to(device)
    model.requires_grad_(False)
    return model.eval()


def require_trainable(header: Header, path: Path) -> Shape:
    """Return the shape of a model that torch computes as llama.cpp does.

    Raises:
        ModelError: the model cannot be trained.
    """
    shape = read_shape(header, path)
    if shape.scaling not in ("none", "linear"):
        raise ModelError(
            "the model {path} stretches its positions by {scaling} (rope scaling), which "
            "training does not know; choose the GGUF without it",
            path=path,
            scaling=shape.scaling,
        )
    if header.values.get("split.count", 1) not in (0, 1):
        raise ModelError(
            "the model {path} is one of several parts and training needs it whole; merge "
            "them with llama.cpp's llama-gguf-split --merge",
            path=path,
        )
    return shape


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


def _empty_model(
    architecture: Architecture, shape: Shape, tensors: dict[str, Callable[[], torch.Tensor]]
) -> PreTrainedModel:
    import torch

    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": shape.theta}
    if shape.scaling == "linear":
        rope |= {"rope_type": "linear", "factor": shape.stretch}
    module, _, name = architecture.model_class.partition(".")
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
        rope_parameters=rope,
        tie_word_embeddings="output.weight" not in tensors,
        **architecture.config(shape, tensors.keys()),
    )
    with torch.device("meta"):
        model: PreTrainedModel = kind(config)
    return model


def _rotary(model: PreTrainedModel, tensors: dict[str, Callable[[], torch.Tensor]]) -> Any:
    """Return the rotary embedding with the frequencies that llama.cpp uses.

    Llama 3 stretches each frequency by a factor of its own, which the GGUF has as a tensor.
    """
    rotary = type(model.model.rotary_emb)(config=model.config)
    if (factors := tensors.get("rope_freqs.weight")) is not None:
        rotary.inv_freq /= factors()
        rotary.original_inv_freq = rotary.inv_freq.clone()
    return rotary
