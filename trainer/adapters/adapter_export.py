"""Adapters out: merged into one GGUF, as a GGUF LoRA, or in PEFT's layout, each with its card.

The strength that the gate found is folded in, so that each serves at 1.0 wherever it is loaded. Files
appear under their names only when they are whole. Refuses to write over anything unless told to, and a
base that is not the one the adapter was trained for.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agent.adapters import Adapter, base_sha256, sha256_file, verify
from agent.llama.gguf_header import read_header
from agent.models.models import recommended
from memory.errors import AdapterError, HomeError, ModelError
from memory.files.atomic_write import whole, write_whole
from memory.files.bounded_read import read_json
from memory.journal.journal import Journal
from memory.settings.paths import expanded
from memory.settings.settings import Home, Settings
from trainer.adapters.cards import card, modelfile
from trainer.adapters.merge import Quant, merge
from trainer.evaluate.merge_eval import Survival, survival

if TYPE_CHECKING:
    from memory.difference import Difference

Form = Literal["merged", "adapter", "peft"]
Say = Callable[[str, int, int], None]
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class Taken:
    """What was written: the thing itself, all files with it, and, for a merged one, what survived."""

    out: Path
    files: tuple[Path, ...]
    survived: Survival | None = None


def take(
    home: Home,
    settings: Settings,
    adapter: Adapter,
    out: Path,
    *,
    form: Form,
    model: Path,
    quant: Quant = "q8_0",
    words: bool = False,
    force: bool = False,
    say: Say = lambda step, done, total: None,
) -> Taken:
    """Write `adapter` to `out` (a .gguf file, or a folder for PEFT) with a card beside it.

    `model` is its base, needed for all but PEFT. `words` puts what was taught into the card. `say`
    hears a step's name, what is done and of how much.

    Raises:
        AdapterError: the adapter is damaged or was made for another base.
        HomeError: `out` is there already (without `force`), or cannot be written.
    """
    verify(adapter)
    out = expanded(out).absolute()
    if out.exists() and not force:
        raise HomeError("{out} is there already; choose another name, or add --force", out=out)
    if not out.parent.is_dir():
        raise HomeError("there is no folder {parent}; make it first", parent=out.parent)
    with Journal(home.prepare().journal) as journal:
        known = journal.differences.by_ids(adapter.manifest.differences)
        journal.exported_copies.note(out)
        if words:
            journal.exported_copies.note(_card_of(out))
    shown = known if words else []
    if form == "peft":
        return _peft(adapter, out, shown)
    if form == "adapter":
        return _lora(adapter, out, shown, model)
    return _merged(home, settings, adapter, out, model, quant, known, shown, say)


def _merged(
    home: Home,
    settings: Settings,
    adapter: Adapter,
    out: Path,
    model: Path,
    quant: Quant,
    known: list[Difference],
    shown: list[Difference],
    say: Say,
) -> Taken:
    try:
        digest = base_sha256(model, home.cache)
    except OSError as error:
        raise ModelError(
            "cannot read the model {model}: {strerror}", model=model, strerror=error.strerror
        ) from error
    verify(adapter, digest)
    manifest = adapter.manifest
    name = f"{manifest.base.name.removesuffix('.gguf')} + {manifest.id[:8]}"
    merge(
        model,
        adapter.gguf,
        out,
        scale=manifest.scale,
        quant=quant,
        name=name,
        progress=lambda done, total: say("merging", done, total),
    )
    survived = survival(
        model,
        adapter.gguf,
        out,
        scale=manifest.scale,
        differences=known,
        settings=settings,
        progress=lambda done, total: say("comparing", done, total),
    )
    text = card(
        adapter,
        "merged",
        files={out.name: sha256_file(out)},
        quant=quant,
        survived=survived,
        differences=shown,
        version=version("discern"),
    )
    beside = _beside(out, text, modelfile(out.name, drawing=_drawing(settings, model)))
    return Taken(out, (out, *beside), survived)


def _lora(adapter: Adapter, out: Path, shown: list[Difference], model: Path) -> Taken:
    import gguf

    try:
        with whole(out) as part:
            shutil.copyfile(adapter.gguf, part)
            reader = gguf.GGUFReader(part, "r+")
            field = reader.fields[gguf.Keys.Adapter.LORA_ALPHA]
            field.parts[field.data[0]][0] *= adapter.manifest.scale
            reader.data.flush()
            del reader
    except OSError as error:
        raise HomeError(
            "cannot write {out}: {strerror}; choose another place", out=out, strerror=error.strerror
        ) from error
    text = card(
        adapter,
        "adapter",
        files={out.name: sha256_file(out)},
        differences=shown,
        version=version("discern"),
    )
    base = adapter.manifest.base.name or model.name
    return Taken(out, (out, *_beside(out, text, modelfile(base, adapter=out.name))))


def _peft(adapter: Adapter, out: Path, shown: list[Difference]) -> Taken:
    try:
        config = read_json(adapter.folder / CONFIG)
    except (OSError, ValueError) as error:
        raise AdapterError(
            "cannot read {folder}: {error}", folder=adapter.folder / CONFIG, error=error
        ) from error
    config["lora_alpha"] = config["lora_alpha"] * adapter.manifest.scale
    config["base_model_name_or_path"] = adapter.manifest.base.name
    try:
        with whole(out) as part:
            part.mkdir()
            (part / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")
            shutil.copyfile(adapter.folder / WEIGHTS, part / WEIGHTS)
            digests = {name: sha256_file(part / name) for name in (CONFIG, WEIGHTS)}
            text = card(
                adapter, "peft", files=digests, differences=shown, version=version("discern")
            )
            (part / "README.md").write_text(text, encoding="utf-8")
    except OSError as error:
        raise HomeError(
            "cannot write {out}: {strerror}; choose another place", out=out, strerror=error.strerror
        ) from error
    return Taken(out, tuple(out / name for name in (CONFIG, WEIGHTS, "README.md")))


def _card_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.md")


def _beside(out: Path, text: str, ollama: str) -> tuple[Path, Path]:
    about = _card_of(out)
    recipe = out.with_name(f"{out.name}.Modelfile")
    try:
        write_whole(about, text)
        write_whole(recipe, ollama)
    except OSError as error:
        raise HomeError(
            "cannot write {about}: {strerror}", about=about, strerror=error.strerror
        ) from error
    return about, recipe


def _drawing(settings: Settings, model: Path) -> dict[str, float]:
    base = read_header(model)
    chosen = settings.sampling
    names = ("temperature", "top_p", "top_k", "min_p")
    made = recommended(base.architecture, base.values, thinking=False)
    return {name: v if (v := float(getattr(chosen, name))) >= 0 else made[name] for name in names}
