"""Exported adapters: the runtime of each format loads it and gives the same replies."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from agent.adapters import Adapter, BaseEntry, sha256_file
from agent.llama.engine import Engine
from agent.llama.gguf.architectures import ARCHITECTURES
from agent.llama.gguf.header import read_header
from memory.errors import AdapterError, HomeError, ModelError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tests.support.architectures import SMALL, write_like
from tests.support.gguf_files import write_tiny
from tests.support.values import difference
from trainer.adapters import adapter_export
from trainer.adapters.adapter_export import ExportRequest, export
from trainer.adapters.lora_to_gguf import write_gguf_lora
from trainer.adapters.merge import merge
from trainer.adapters.publish import PublishRequest, publish
from trainer.fit.model.base_model import load_base
from tui.cli.main import run

# PEFT uses a deprecated name of transformers.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def lora(base: Path, folder: Path, *, rank: int = 4, strength: float = 0.2) -> Path:
    """A random LoRA on `base`, in PEFT's layout and as GGUF."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    targets = list(ARCHITECTURES[read_header(base).architecture].targets)
    config = LoraConfig(r=rank, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM")
    model = get_peft_model(load_base(base), config)
    for name, value in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(value.data, std=strength)
    model.save_pretrained(folder)
    write_gguf_lora(folder, folder / "adapter.gguf", base=base, kind="f32")
    return folder


def serve(home: Home, base: Path, folder: Path, scale: float = 0.5) -> Adapter:
    with Journal(home.journal) as journal:
        item = difference("Who?", "Lutz.")
        journal.differences.add(item)
    entry = BaseEntry(sha256=sha256_file(base), name=base.name)
    return publish(
        home,
        PublishRequest(folder, entry, scale=scale, differences=[item.id], metrics={"kl": 0.01}),
    )


@pytest.fixture(scope="module", params=["qwen3", pytest.param("qwen2", marks=pytest.mark.slow)])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / f"{request.param}.gguf"
    return write_tiny(
        path, architecture=request.param, quantised=True, head=128, width=256, inner=256
    )


@pytest.fixture
def adapter(home: Home, base: Path, tmp_path: Path) -> Adapter:
    return serve(home, base, lora(base, tmp_path / "lora"))


def rows(engine: Engine) -> np.ndarray[Any, Any]:
    tokens = engine.tokenize("Who is it, and where are they from?")
    return np.array(list(engine.log_probabilities(tokens, 4)))


def expected(base: Path, adapter: Adapter) -> np.ndarray[Any, Any]:
    with Engine.open(base) as engine:
        engine.set_adapter(adapter.gguf, adapter.manifest.scale)
        return rows(engine)


def kl(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    return float((np.exp(one) * (one - other)).sum(-1).mean())


@pytest.mark.slow
def test_a_merged_file_replies_like_base_and_adapter(
    home: Home, settings: Settings, base: Path, adapter: Adapter, tmp_path: Path
) -> None:
    wanted = expected(base, adapter)
    with Engine.open(base) as engine:
        alone = kl(wanted, rows(engine))
    distances = {}
    for quant in ("f16", "q8_0", "q4_k_m"):
        out = tmp_path / f"{quant}.gguf"
        taken = export(
            home, settings, ExportRequest(adapter, out, form="merged", model=base, quant=quant)
        )
        with Engine.open(out) as engine:
            distances[quant] = kl(wanted, rows(engine))
            assert engine.info.metadata["general.name"].endswith(adapter.id[:8])
            assert engine.info.architecture == base.stem
        survived = taken.survived
        assert survived is not None
        assert survived.lessons == 1
        assert survived.unrelated == 24
        assert survived.kl < survived.kl_base
        card = (tmp_path / f"{quant}.gguf.md").read_text()
        assert adapter.manifest.base.sha256 in card
        assert survived.sentence in card
        assert sha256_file(out) in card
        assert "Who?" not in card
        recipe = (tmp_path / f"{quant}.gguf.Modelfile").read_text()
        assert recipe.startswith(f"FROM ./{quant}.gguf\n")
        assert "<|im_end|>" in recipe
        assert not list(tmp_path.glob(".*"))
    assert distances["f16"] < 5e-4 < alone
    assert distances["f16"] < distances["q8_0"] < distances["q4_k_m"] < alone
    sizes = [(tmp_path / f"{quant}.gguf").stat().st_size for quant in distances]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_is_merged(
    home: Home, settings: Settings, tmp_path: Path, architecture: str
) -> None:
    base = write_like(tmp_path / "m.gguf", SMALL[architecture], context=2048)
    adapter = serve(home, base, lora(base, tmp_path / "lora"))
    out = tmp_path / "merged.gguf"
    export(home, settings, ExportRequest(adapter, out, form="merged", model=base, quant="f16"))
    with Engine.open(base) as engine:
        alone = rows(engine)
    with Engine.open(out) as engine:
        assert kl(expected(base, adapter), rows(engine)) < 5e-4
        assert kl(alone, rows(engine)) > 5e-3


def test_a_lora_exported_for_llama_cpp_has_its_full_scale(
    home: Home, settings: Settings, base: Path, adapter: Adapter, tmp_path: Path
) -> None:
    out = tmp_path / "lora.gguf"
    taken = export(
        home, settings, ExportRequest(adapter, out, form="adapter", model=base, words=True)
    )
    with Engine.open(base) as engine:
        engine.set_adapter(out, 1.0)
        assert kl(expected(base, adapter), rows(engine)) < 1e-6
    assert "Who?" in (tmp_path / "lora.gguf.md").read_text()
    assert f"FROM ./{base.name}\nADAPTER ./lora.gguf\n" in taken.files[2].read_text()
    reader = gguf.GGUFReader(out)
    assert float(reader.fields["adapter.lora.alpha"].contents()) == 4.0
    assert len(reader.tensors) == 2 * 2 * len(TARGETS)


def test_a_peft_folder_is_loaded_by_peft(
    home: Home, settings: Settings, base: Path, adapter: Adapter, tmp_path: Path
) -> None:
    from peft import PeftModel

    out = tmp_path / "peft"
    export(home, settings, ExportRequest(adapter, out, form="peft", model=base))
    model = PeftModel.from_pretrained(load_base(base), out)
    with Engine.open(base) as engine:
        tokens = engine.tokenize("Who is it, and where are they from?")
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0, 3:-1].log_softmax(-1).numpy()
    assert kl(expected(base, adapter), logits) < 1e-3
    config = json.loads((out / "adapter_config.json").read_text())
    assert config["lora_alpha"] == 4.0
    assert config["base_model_name_or_path"] == base.name
    assert "Who?" not in (out / "README.md").read_text()


def test_an_export_overwrites_nothing_and_checks_its_options(
    home: Home, settings: Settings, base: Path, adapter: Adapter, tmp_path: Path
) -> None:
    out = tmp_path / "there.gguf"
    out.write_text("mine")
    with pytest.raises(HomeError, match="--force"):
        export(home, settings, ExportRequest(adapter, out, form="adapter", model=base))
    assert out.read_text() == "mine"
    export(home, settings, ExportRequest(adapter, out, form="adapter", model=base, force=True))
    assert out.read_bytes()[:4] == b"GGUF"
    other = write_tiny(tmp_path / "other.gguf", seed=8)
    with pytest.raises(AdapterError, match="was trained for"):
        export(
            home, settings, ExportRequest(adapter, tmp_path / "x.gguf", form="merged", model=other)
        )
    with pytest.raises(AdapterError, match=r"other base|does not fit|is for"):
        merge(other, adapter, tmp_path / "x.gguf")
    with pytest.raises(ModelError, match="no model at"):
        merge(tmp_path / "none.gguf", adapter, tmp_path / "x.gguf")
    with pytest.raises(HomeError, match="does not exist"):
        export(
            home,
            settings,
            ExportRequest(adapter, tmp_path / "a" / "x.gguf", form="adapter", model=base),
        )
    assert not (tmp_path / "x.gguf").exists()


def test_the_export_command_reports_what_it_wrote(
    home: Home, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out.gguf")
    assert run(["export", out]) == 2
    assert "--merged, --adapter or --peft" in capsys.readouterr().err
    assert run(["export", out, "--merged"]) == 2
    assert "there is no current adapter" in capsys.readouterr().err
    adapter = serve(home, base, lora(base, tmp_path / "lora"))
    assert run(["export", out, "--adapter", "--model", str(base), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["out"] == out
    assert len(said["files"]) == 3
    assert said["survived"] is None
    peft = str(tmp_path / "peft")
    assert run(["export", peft, "--peft", "--id", adapter.id[:8], "--words"]) == 0
    assert capsys.readouterr().out.count("Wrote ") == 3
    assert "Who?" in (tmp_path / "peft" / "README.md").read_text()


def test_an_exported_adapter_is_private_and_recorded(
    home: Home, settings: Settings, tiny: Path, tmp_path: Path
) -> None:
    adapter = serve(home, tiny, lora(tiny, tmp_path / "lora"))
    out = tmp_path / "peft"
    for _ in range(2):  # the second replaces the first
        taken = export(
            home, settings, ExportRequest(adapter, out, form="peft", model=tiny, force=True)
        )
    assert {path.name for path in out.iterdir()} == {path.name for path in taken.files}
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in taken.files} == {0o600}
    gguf_out = tmp_path / "lora.gguf"
    export(home, settings, ExportRequest(adapter, gguf_out, form="adapter", model=tiny, words=True))
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("lora.gguf*")} == {0o600}
    with Journal(home.journal) as journal:
        known = [path for path, _ in journal.exported_copies.noted()]
    assert known == [out, gguf_out, tmp_path / "lora.gguf.md"]


def test_a_config_that_cannot_be_read_is_named_once(
    home: Home,
    settings: Settings,
    base: Path,
    adapter: Adapter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapter_export, "verify", lambda adapter, sha256=None: None)
    path = adapter.folder / "adapter_config.json"
    path.write_text("{")
    request = ExportRequest(adapter, tmp_path / "peft", form="peft", model=base)
    with pytest.raises(AdapterError) as refused:
        export(home, settings, request)
    said = str(refused.value)
    assert said.count(str(path)) == said.count("cannot read") == said.count("; ") == 1
