"""Adapters with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from memory.recall.learned_differences import NOTHING_LEARNED, Learned
from memory.settings.paths import Home
from trainer.adapters import publish
from trainer.adapters.adapter_staleness import entry_of


def lora(path: Path, size: float, *, width: int = 64, inner: int = 96) -> Path:
    """A random adapter on the tiny model's down projections."""
    import gguf

    order = np.random.default_rng(3)
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 4.0)
    for layer in range(2):
        name = f"blk.{layer}.ffn_down.weight"
        half = order.normal(0, 1, (4, inner)).astype(np.float32)
        writer.add_tensor(f"{name}.lora_a", half)
        other = order.normal(0, size, (width, 4)).astype(np.float32)
        writer.add_tensor(f"{name}.lora_b", other)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def published(
    home: Home, tiny: Path, tmp_path: Path, *differences: str, learned: Learned = NOTHING_LEARNED
) -> str:
    """Publish an adapter that changes much; returns its id."""
    folder = tmp_path / "candidate"
    folder.mkdir()
    lora(folder / "adapter.gguf", 0.5)
    (folder / "adapter_model.safetensors").write_bytes(b"x")
    (folder / "adapter_config.json").write_text("{}")
    request = publish.PublishRequest(
        folder,
        entry_of(tiny, home),
        scale=0.5,
        differences=differences,
        learned=learned,
    )
    return publish.publish(home, request).id
