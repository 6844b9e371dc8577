"""Export an adapter: merged into its base as one GGUF, as a GGUF LoRA, or in PEFT's layout.

The strength that the gate found is folded in, so an export is used at scale 1.0. Files appear under
their names only when they are complete. Existing files are overwritten only on request, and a base
other than the one the adapter was trained for is refused. Each export comes with a card.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agent.adapters import Adapter, base_sha256, sha256_file, verify
from agent.llama.gguf.header import read_header
from agent.models.models import recommended
from memory.errors import AdapterError, HomeError, ModelError, cause_of
from memory.files.atomic_write import whole, write_whole
from memory.files.bounded_read import read_json
from memory.journal.journal import Journal
from memory.settings.paths import Home, expanded
from memory.settings.settings import Settings
from trainer.adapters.cards import card, modelfile
from trainer.adapters.merge import Quant, merge
from trainer.evaluate.merge_eval import Survival, survival

if TYPE_CHECKING:
    from memory.difference import Difference

ExportForm = Literal["merged", "adapter", "peft"]
StepProgress = Callable[[str, int, int], None]
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export: `adapter`, to `out` (a .gguf file, or a folder for PEFT), in which form.

    `model` is the adapter's base, needed for all forms but PEFT. `words` puts the text of the marks
    into the card, `force` overwrites what is at `out`.
    """

    adapter: Adapter
    out: Path
    form: ExportForm
    model: Path
    quant: Quant = "q8_0"
    words: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the export, all files with it, and how a merged one compares."""

    out: Path
    files: tuple[Path, ...]
    survived: Survival | None = None


def export(
    home: Home,
    settings: Settings,
    request: ExportRequest,
    on_progress: StepProgress = lambda step, done, total: None,
) -> Exported:
    """Write an adapter to `request.out`, with a card next to it.

    `on_progress` receives the name of a step, what is done and the total.

    Raises:
        AdapterError: the adapter is damaged or was made for another base.
        HomeError: `out` exists (without `force`) or cannot be written.
    """
    request = replace(request, out=expanded(request.out).absolute())
    adapter, out = request.adapter, request.out
    verify(adapter)
    if out.exists() and not request.force:
        raise HomeError("{out} already exists; choose another name or add --force", out=out)
    if not out.parent.is_dir():
        raise HomeError("the folder {folder} does not exist; create it first", folder=out.parent)
    with Journal(home.prepare().journal) as journal:
        known = journal.differences.by_ids(adapter.manifest.differences)
        journal.exported_copies.note(out)
        if request.words:
            journal.exported_copies.note(_card_of(out))
    if request.form == "merged":
        return _merged(home, settings, request, known, on_progress)
    shown = known if request.words else []
    if request.form == "peft":
        return _peft(adapter, out, shown)
    return _lora(adapter, out, shown, request.model)


def _merged(
    home: Home,
    settings: Settings,
    request: ExportRequest,
    known: list[Difference],
    on_progress: StepProgress,
) -> Exported:
    adapter, out, model = request.adapter, request.out, request.model
    try:
        digest = base_sha256(model, home.cache)
    except OSError as error:
        raise ModelError(
            "cannot read the model {model}: {strerror}; check its path and permissions",
            model=model,
            strerror=error.strerror,
        ) from error
    verify(adapter, digest)
    manifest = adapter.manifest
    merge(
        model,
        adapter,
        out,
        quant=request.quant,
        name=f"{manifest.base.name.removesuffix('.gguf')} + {manifest.id[:8]}",
        progress=lambda done, total: on_progress("merging", done, total),
    )
    survived = survival(
        model,
        adapter,
        out,
        differences=known,
        settings=settings,
        progress=lambda done, total: on_progress("comparing", done, total),
    )
    text = card(
        adapter,
        "merged",
        files={out.name: sha256_file(out)},
        quant=request.quant,
        survived=survived,
        differences=known if request.words else (),
    )
    beside = _write_beside(out, text, modelfile(out.name, drawing=_sampling(settings, model)))
    return Exported(out, (out, *beside), survived)


def _lora(adapter: Adapter, out: Path, shown: list[Difference], model: Path) -> Exported:
    import gguf

    with _writing(out), whole(out) as part:
        shutil.copyfile(adapter.gguf, part)
        reader = gguf.GGUFReader(part, "r+")
        field = reader.fields[gguf.Keys.Adapter.LORA_ALPHA]
        field.parts[field.data[0]][0] *= adapter.manifest.scale
        reader.data.flush()
        del reader
    text = card(
        adapter,
        "adapter",
        files={out.name: sha256_file(out)},
        differences=shown,
    )
    base = adapter.manifest.base.name or model.name
    return Exported(out, (out, *_write_beside(out, text, modelfile(base, adapter=out.name))))


def _peft(adapter: Adapter, out: Path, shown: list[Difference]) -> Exported:
    try:
        config = read_json(adapter.folder / CONFIG)
    except (OSError, ValueError) as error:
        raise AdapterError(
            "cannot read {folder}: {error}; train again",
            folder=adapter.folder / CONFIG,
            error=cause_of(error),
        ) from error
    config["lora_alpha"] = config["lora_alpha"] * adapter.manifest.scale
    config["base_model_name_or_path"] = adapter.manifest.base.name
    with _writing(out), whole(out) as part:
        part.mkdir()
        (part / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")
        shutil.copyfile(adapter.folder / WEIGHTS, part / WEIGHTS)
        digests = {name: sha256_file(part / name) for name in (CONFIG, WEIGHTS)}
        text = card(adapter, "peft", files=digests, differences=shown)
        (part / "README.md").write_text(text, encoding="utf-8")
    return Exported(out, tuple(out / name for name in (CONFIG, WEIGHTS, "README.md")))


def _card_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.md")


def _write_beside(out: Path, text: str, ollama: str) -> tuple[Path, Path]:
    """Write the card and the Ollama Modelfile next to an export; return their paths."""
    about = _card_of(out)
    recipe = out.with_name(f"{out.name}.Modelfile")
    with _writing(about):
        write_whole(about, text)
        write_whole(recipe, ollama)
    return about, recipe


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raise an OSError in the block as a HomeError about writing `path`."""
    try:
        yield
    except HomeError:
        raise
    except OSError as error:
        raise HomeError(
            "cannot write {out}: {strerror}; choose another location",
            out=path,
            strerror=error.strerror,
        ) from error


def _sampling(settings: Settings, model: Path) -> dict[str, float]:
    base = read_header(model)
    chosen = settings.sampling
    names = ("temperature", "top_p", "top_k", "min_p")
    made = recommended(base.architecture, base.values, thinking=False)
    return {name: v if (v := float(getattr(chosen, name))) >= 0 else made[name] for name in names}
