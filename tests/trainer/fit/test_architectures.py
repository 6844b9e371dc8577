"""Every architecture: torch and llama.cpp compute the same from a GGUF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from agent.llama.engine import Engine
from agent.llama.gguf.architectures import ARCHITECTURES, TARGETS
from memory.settings import settings
from memory.settings.settings import ModelSettings
from tests.support.architectures import MODELS, SMALL, Like, small, write_like
from trainer.adapters.lora_to_gguf import write_gguf_lora
from trainer.fit.model.base_model import load_base

# Warnings of third-party packages: PEFT about transformers, and about a base without a name.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*was renamed from:UserWarning"),
]

POSITIONS = 64
TOKENS = list(b"What is the capital of Zubrowka? The river, the tower and 27 more; none.")[
    : POSITIONS + 1
]
AGREES = 1e-3
"""Most mean KL(llama.cpp || torch), in nats."""


def served(engine: Engine) -> np.ndarray:
    return np.stack(list(engine.log_probabilities(TOKENS, 1))).astype(np.float64)


def computed(model: torch.nn.Module) -> np.ndarray:
    with torch.inference_mode():
        logits = model(torch.tensor([TOKENS])).logits[0, :-1].double()
    return torch.log_softmax(logits, -1).numpy()


def divergence(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the mean KL(ours || theirs) over the positions."""
    return float((np.exp(ours) * (ours - theirs)).sum(-1).mean())


def with_every_target(base: Path, folder: Path, targets: Sequence[str]) -> torch.nn.Module:
    """Save an adapter of random weights on every matrix that may have one; return the torch model."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(5)
    config = LoraConfig(r=4, lora_alpha=6.0, target_modules=list(targets), task_type="CAUSAL_LM")
    model = get_peft_model(load_base(base), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder, save_embedding_layers=False)
    adapted: torch.nn.Module = model.eval()
    return adapted


def check(path: Path, folder: Path, architecture: str) -> None:
    """The base agrees, the adapted model agrees, and swapping back and forth changes nothing."""
    row = ARCHITECTURES[architecture]
    serving = ModelSettings(path="", context=256, threads=1, gpu_layers=0)
    adapted = with_every_target(path, folder, row.targets)
    adapter = write_gguf_lora(folder, folder / "a.gguf", base=path, kind="f32")
    with Engine(path, serving) as engine:
        plain = served(engine)
        assert divergence(plain, computed(load_base(path))) < AGREES
        engine.set_adapter(adapter)
        changed = served(engine)
        assert divergence(changed, computed(adapted)) < AGREES
        assert divergence(changed, plain) > 5 * AGREES
        engine.set_adapter(None)
        assert np.array_equal(served(engine), plain)
        engine.set_adapter(adapter)
        assert np.array_equal(served(engine), changed)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_torch_and_llama_cpp_agree_with_and_without_an_adapter(
    tmp_path: Path, architecture: str
) -> None:
    path = write_like(tmp_path / "m.gguf", SMALL[architecture])
    check(path, tmp_path / "peft", architecture)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_torch_and_llama_cpp_agree_on_real_shapes(tmp_path: Path, name: str) -> None:
    path = write_like(tmp_path / "m.gguf", MODELS[name])
    check(path, tmp_path / "peft", MODELS[name].architecture)


FACTORS = [1.0] * 6 + [1.4, 2.2, 3.5, 5.0, 8.0] + [8.0] * 5
SCALED: dict[str, Like] = {
    "linear": small("qwen3", keys={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
    "yarn": small(
        "qwen3",
        keys={"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
              "rope.scaling.original_context_length": 64},
    ),
    "yarn without an original context": small(
        "llama", keys={"rope.scaling.type": "yarn", "rope.scaling.factor": 2.0}
    ),
    "yarn with an attention factor": small(
        "qwen2",
        keys={"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
              "rope.scaling.original_context_length": 64, "rope.scaling.attn_factor": 1.3},
    ),
    "an attention factor alone": small("qwen3", keys={"rope.scaling.attn_factor": 1.3}),
    "llama3": small("llama", keys={"rope_factors": FACTORS}),
    "linear, not for the windows": small(
        "gemma3", keys={"rope.scaling.type": "linear", "rope.scaling.factor": 8.0}
    ),
    "an own base for the windows": small("gemma3", keys={"rope.freq_base_swa": 500.0}),
    "recurrent layers by a list": small(
        "qwen35", keys={"attention.recurrent_layers": [True, False, True, False]}
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SCALED)
def test_the_rope_settings_of_the_header_are_used_in_training(tmp_path: Path, kind: str) -> None:
    path = write_like(tmp_path / "m.gguf", SCALED[kind])
    with Engine(path, ModelSettings(path="", context=256, threads=1, gpu_layers=0)) as engine:
        assert divergence(served(engine), computed(load_base(path))) < AGREES


def test_every_architecture_has_a_test_and_an_existing_class() -> None:
    from importlib import import_module

    assert set(SMALL) == set(ARCHITECTURES) == {like.architecture for like in MODELS.values()}
    for row in ARCHITECTURES.values():
        module, _, name = row.model_class.partition(".")
        assert getattr(import_module(f"transformers.models.{module}"), name)
        leaves = {key.rpartition(".")[2] for key in row.layer}
        assert set(row.targets) <= leaves
    assert set(TARGETS) == settings.TARGETS


def test_the_readme_names_every_architecture() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    rows = [line for line in readme.splitlines() if line.startswith("| `")]
    named = [line for line in rows if line.split("`")[1] in ARCHITECTURES]
    assert len(named) == len(ARCHITECTURES)
    for line, row in zip(named, ARCHITECTURES.values(), strict=True):
        assert line.startswith(f"| `{row.name}` | {row.models} | ")
