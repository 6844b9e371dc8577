"""The probe survives what would kill the chat, and the gate says what moved."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from agent.engine import Engine
from memory.errors import AdapterError
from memory.home import Home
from tests.trainer.values import difference, quick_settings
from trainer.anchors import Answers
from trainer.gate import judge, probe, same
from trainer.lessons import make_curriculum


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


def test_a_sound_adapter_passes_the_probe(tiny: Path, tmp_path: Path) -> None:
    probe(lora(tmp_path / "a.gguf", 0.1), tiny)


@pytest.mark.parametrize("fault", ["missing", "text", "truncated", "nan", "other base", "noise"])
def test_a_bad_adapter_is_refused_in_one_sentence(tiny: Path, tmp_path: Path, fault: str) -> None:
    path = tmp_path / "a.gguf"
    if fault == "text":
        path.write_text("not an adapter")
    elif fault == "nan":
        lora(path, float("nan"))
    elif fault == "other base":
        lora(path, 0.1, width=32)
    elif fault == "truncated":
        path.write_bytes(lora(path, 0.1).read_bytes()[:-500])
    elif fault == "noise":
        data = bytearray(lora(path, 0.1).read_bytes())
        order = random.Random(1)
        for _ in range(200):
            data[order.randrange(8, 400)] = order.randrange(256)
        path.write_bytes(data)
    with pytest.raises(AdapterError, match=r"a\.gguf") as caught:
        probe(path, tiny)
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_idle_adapter_changes_nothing_and_a_wild_one_is_caught(
    engine: Engine, home: Home, tmp_path: Path
) -> None:
    chosen = quick_settings(home, gate={"anchors": 0.95, "kl": 0.05, "near_misses": 0.9})
    marked = [difference("Who?", "Lutz.")]
    curriculum = make_curriculum(engine, marked, Answers(engine, "0" * 64, home.cache), chosen)
    idle = judge(engine, lora(tmp_path / "idle.gguf", 0.0), curriculum, chosen.gate)
    found = {measure.name: measure for measure in idle.measures}
    assert idle.passed and idle.scale == 1.0
    assert found["anchors"].value == found["near_misses"].value == 1.0
    assert found["kl"].value == pytest.approx(0, abs=1e-3)
    assert found["perplexity"].value == pytest.approx(0, abs=1e-3)
    assert found["lessons"].value == 0.0
    wild = judge(engine, lora(tmp_path / "wild.gguf", 1.0), curriculum, chosen.gate)
    assert not wild.passed and wild.only_drifts
    assert "unrelated answers unchanged" in wild.sentence
    assert wild.changes
    assert engine.adapter is None


def test_an_adapter_that_only_drifts_is_weakened_until_it_passes(
    engine: Engine, home: Home, tmp_path: Path
) -> None:
    chosen = quick_settings(home, gate={"kl": 0.02})
    curriculum = make_curriculum(
        engine, [difference("Who?", "Lutz.")], Answers(engine, "0" * 64, home.cache), chosen
    )
    adapter = lora(tmp_path / "a.gguf", 0.03)
    verdict = judge(engine, adapter, curriculum, chosen.gate)
    assert verdict.passed
    assert verdict.scale < 1.0


def test_replies_are_compared_up_to_whitespace() -> None:
    assert same(" Lutz. \n two ", "Lutz.\ntwo")
    assert not same("Lutz", "Lutz.")
