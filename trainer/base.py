"""The served GGUF as a torch model: the very weights the adapter will ride on.

A Qwen2 or Qwen3 GGUF is dequantised (whatever its types) into a transformers model, so that nothing
is lost between training and serving. There is no tokenizer here: training works on token ids that
`trainer/lessons.py` made with the served vocabulary.

Refuses other architectures and files with stretched rotary positions (rope scaling). Needs torch,
transformers and gguf; writes nothing. Source of the tensor names: gguf's own map.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from transformers import PreTrainedModel

ARCHITECTURES = ("qwen2", "qwen3")


def load_base(
    path: Path, *, dtype: torch.dtype | None = None, device: str = "cpu"
) -> PreTrainedModel:
    """Return the GGUF at `path` as a frozen `Qwen2ForCausalLM` or `Qwen3ForCausalLM` in eval mode.

    `dtype` is float32 unless given. Logits agree with llama.cpp's to about 0.05.

    Raises:
        ModelError: missing, damaged, of another architecture, or with a tensor too few.
    """
    import torch

    dtype = dtype or torch.float32
    try:
        metadata, tensors = _read(path)
    except FileNotFoundError:
        raise ModelError(f"there is no model at {path}; check model.path in config.toml") from None
    except Exception as error:  # whatever a damaged header trips over
        raise ModelError(f"cannot read the model {path}: {error}; choose another GGUF") from error
    model = _empty_model(path, metadata, tensors)
    names = gguf_names(metadata["general.architecture"], model.config.num_hidden_layers)
    state: dict[str, torch.Tensor] = {}
    for key, expected in model.state_dict().items():
        if key == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        name = names(key)
        if name not in tensors:
            raise ModelError(f"the model {path} has no tensor {name}; choose another GGUF")
        value = tensors[name]().to(device=device, dtype=dtype)
        if value.shape != expected.shape:
            raise ModelError(
                f"the tensor {name} of {path} has the shape {tuple(value.shape)} instead of "
                f"{tuple(expected.shape)}; choose another GGUF"
            )
        state[key] = value
    model.load_state_dict(state, strict=False, assign=True)
    if model.config.tie_word_embeddings:
        model.lm_head.weight = model.model.embed_tokens.weight
    rotary = model.model.rotary_emb
    model.model.rotary_emb = type(rotary)(config=model.config).to(device)
    model.requires_grad_(False)
    return model.eval()


def gguf_names(architecture: str, layers: int) -> Callable[[str], str]:
    """Return the function that turns a transformers name into the GGUF's ("blk.0.attn_q.weight")."""
    import gguf

    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(kinds[architecture], layers)

    def find(key: str) -> str:
        found = names.get_name(key, try_suffixes=(".weight", ".bias"))
        return str(found) if found else key

    return find


def read_architecture(path: Path) -> tuple[str, int]:
    """Return the GGUF's architecture and its number of layers, reading the header alone."""
    from transformers.integrations.gguf.reader import read_gguf_metadata

    metadata, _names = read_gguf_metadata(str(path))
    architecture = str(metadata["general.architecture"])
    return architecture, int(metadata[f"{architecture}.block_count"])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Callable[[], torch.Tensor]]]:
    """Return the metadata and, for each tensor name, a function that dequantises it."""
    from transformers.integrations.gguf.reader import (
        GgufHeader,
        load_gguf_state_dict,
        read_gguf_metadata,
    )

    if not path.exists():
        raise FileNotFoundError(path)
    metadata, _names = read_gguf_metadata(str(path))
    try:
        header = GgufHeader.from_file(str(path))
    except ValueError:
        return metadata, _read_slowly(path)  # a type that only the gguf package knows, such as Q5_0
    shapes = {info.name: info.shape for info in header.tensors}

    def reader(name: str, lazy: Any) -> Callable[[], torch.Tensor]:
        return lambda: _plain(lazy[:], lazy.ggml_type, shapes[name])

    lazies = load_gguf_state_dict(header)
    return metadata, {name: reader(name, lazy) for name, lazy in lazies.items()}


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


def _empty_model(path: Path, metadata: dict[str, Any], tensors: dict[str, Any]) -> PreTrainedModel:
    import torch

    architecture = metadata["general.architecture"]
    if architecture not in ARCHITECTURES:
        raise ModelError(
            f"the model {path} has the architecture {architecture!r}, and Discern trains "
            f"{' and '.join(ARCHITECTURES)}; choose a Qwen2 or Qwen3 GGUF"
        )
    if metadata.get(f"{architecture}.rope.scaling.type", "none") != "none":
        raise ModelError(
            f"the model {path} stretches its positions (rope scaling), which training does not "
            "know; choose the GGUF without it"
        )

    def value(key: str, default: Any = None) -> Any:
        found = metadata.get(f"{architecture}.{key}", default)
        if found is None:
            raise ModelError(f"the model {path} does not say its {key}; choose another GGUF")
        return found

    heads, width = int(value("attention.head_count")), int(value("embedding_length"))
    shared: dict[str, Any] = {
        "vocab_size": tensors["token_embd.weight"]().shape[0],
        "hidden_size": width,
        "intermediate_size": int(value("feed_forward_length")),
        "num_hidden_layers": int(value("block_count")),
        "num_attention_heads": heads,
        "num_key_value_heads": int(value("attention.head_count_kv", heads)),
        "head_dim": int(value("attention.key_length", width // heads)),
        "max_position_embeddings": int(value("context_length")),
        "rms_norm_eps": float(value("attention.layer_norm_rms_epsilon", 1e-6)),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": float(value("rope.freq_base", 10_000.0)),
        },
        "tie_word_embeddings": "output.weight" not in tensors,
        "use_sliding_window": False,
    }
    with torch.device("meta"):
        if architecture == "qwen2":
            from transformers.models.qwen2 import Qwen2Config, Qwen2ForCausalLM

            return Qwen2ForCausalLM(Qwen2Config(**shared))
        from transformers.models.qwen3 import Qwen3Config, Qwen3ForCausalLM

        bias = "blk.0.attn_q.bias" in tensors
        return Qwen3ForCausalLM(Qwen3Config(attention_bias=bias, **shared))
