"""The GGUF adapter gives the same results in llama.cpp as the PEFT adapter in torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import gguf
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from agent.llama.engine import Engine
from memory.errors import AdapterError
from tests.support.gguf_files import write_tiny
from trainer.adapters.lora_to_gguf import write_gguf_lora
from trainer.fit.model.base_model import load_base

# Warnings of third-party packages: PEFT about transformers, and about a base without a name.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*was renamed from:UserWarning"),
]

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def make_adapter(base: Path, folder: Path) -> torch.nn.Module:
    """A PEFT adapter of random weights, saved by PEFT; returns the adapted torch model."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(5)
    model = get_peft_model(
        load_base(base), LoraConfig(r=4, lora_alpha=6.0, target_modules=ALL, task_type="CAUSAL_LM")
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder, save_embedding_layers=False)
    adapted: torch.nn.Module = model.eval()
    return adapted


@pytest.mark.parametrize("architecture", ["qwen3", "qwen2", "llama"])
@pytest.mark.parametrize(("kind", "tolerance"), [("f32", 0.02), ("f16", 0.03), ("mixed", 0.03)])
def test_the_log_probabilities_equal_torch_with_peft(
    tmp_path: Path, architecture: str, kind: Literal["mixed", "f16", "f32"], tolerance: float
) -> None:
    head = 16 if architecture == "qwen2" else 40
    base = write_tiny(tmp_path / "m.gguf", architecture=architecture, heads=4, head=head)
    model = make_adapter(base, tmp_path / "peft")
    target = write_gguf_lora(tmp_path / "peft", tmp_path / "a.gguf", base=base, kind=kind)
    with Engine.open(base) as engine:
        tokens = engine.tokenize("What is not distinguished here?")
        plain = np.stack(list(engine.log_probabilities(tokens, 1)))
        engine.set_adapter(target)
        served = np.stack(list(engine.log_probabilities(tokens, 1)))
    with torch.inference_mode():
        logits = model(torch.tensor([tokens])).logits[0, :-1]
    fitted = torch.log_softmax(logits, -1).numpy()
    assert np.abs(served - plain).mean() > 0.1  # the adapter does something
    assert np.abs(served - fitted).max() < tolerance


def test_the_layout_is_that_of_the_official_converter(tmp_path: Path) -> None:
    base = write_tiny(tmp_path / "m.gguf", heads=4)
    make_adapter(base, tmp_path / "peft")
    target = write_gguf_lora(tmp_path / "peft", tmp_path / "a.gguf", base=base, kind="f32")
    reader = gguf.GGUFReader(target)
    fields = {name: reader.fields[name].contents() for name in reader.fields}
    assert fields["general.type"] == "adapter"
    assert fields["general.architecture"] == "qwen3"
    assert fields["adapter.type"] == "lora"
    assert fields["adapter.lora.alpha"] == 6.0
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    assert len(tensors) == 2 * 2 * len(ALL)
    source = load_file(tmp_path / "peft" / "adapter_model.safetensors")
    prefix = "base_model.model.model.layers.1.self_attn.q_proj"
    assert (tensors["blk.1.attn_q.weight.lora_a"] == source[f"{prefix}.lora_A.weight"]).all()
    assert (tensors["blk.1.attn_q.weight.lora_b"] == source[f"{prefix}.lora_B.weight"]).all()


@pytest.mark.parametrize(
    "fault", ["half a pair", "not finite", "too large for f16", "unknown tensor", "truncated"]
)
def test_an_unsupported_adapter_is_refused(tmp_path: Path, fault: str) -> None:
    base = write_tiny(tmp_path / "m.gguf", heads=4)
    make_adapter(base, tmp_path / "peft")
    path = tmp_path / "peft" / "adapter_model.safetensors"
    tensors = load_file(path)
    first = next(iter(tensors))
    if fault == "half a pair":
        del tensors[first]
    elif fault == "not finite":
        tensors[first][0, 0] = np.nan
    elif fault == "too large for f16":
        tensors[first][0, 0] = 1e7
    elif fault == "unknown tensor":
        tensors["base_model.model.model.embed_tokens.weight"] = np.ones((2, 2), np.float32)
    save_file(tensors, path)
    if fault == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AdapterError, match="peft"):
        write_gguf_lora(tmp_path / "peft", tmp_path / "a.gguf", base=base)


def test_an_adapter_that_cannot_be_read_is_named_once(tmp_path: Path) -> None:
    folder = tmp_path / "peft"
    folder.mkdir()
    with pytest.raises(AdapterError) as missing:
        write_gguf_lora(folder, tmp_path / "a.gguf", base=tmp_path / "m.gguf")
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(AdapterError) as damaged:
        write_gguf_lora(folder, tmp_path / "a.gguf", base=tmp_path / "m.gguf")
    for error in (missing, damaged):
        said = str(error.value)
        assert said.startswith(f"cannot read the adapter in {folder}: ")
        assert said.count(str(folder)) == said.count("cannot read") == said.count("; ") == 1
