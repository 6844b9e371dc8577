"""`discern doctor`: check the installation, the model and the device."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from memory.errors import DiscernError
from memory.text.counts import counted
from tui.cli.shared_options import as_json, model_option, print_json, step
from tui.terminal.printing import echo, styled

PACKAGES = (
    "llama-cpp-python",
    "torch",
    "transformers",
    "peft",
    "langgraph",
    "chromadb",
    "textual",
    "apscheduler",
)


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """The result of one check: `state` is ok, note or broken; `mend` is how to fix it."""

    what: str
    state: str
    text: str
    mend: str = ""


@click.command(
    epilog="""\b
Examples:
  discern doctor
  discern doctor --model ~/models/my-qwen.gguf
"""
)
@model_option
@as_json
def doctor(model: str | None, as_json: bool) -> int:
    """Check the installation and explain how to fix problems.

    The exit code is 2 if something is broken.
    """
    from tui.terminal.sanitize import one_line

    found: list[DoctorFinding] = []
    for look in (_python, _packages, _home, _settings, _journal, _checkpoints, _disk, _device):
        found += _run_check(look)
    found += _run_check(lambda: _model(model))
    found += _run_check(_adapter)
    step("")
    broken = any(item.state == "broken" for item in found)
    if as_json:
        print_json({"ok": not broken, "findings": found})
        return 2 if broken else 0
    signs = {
        "ok": styled("✓", fg="green"),
        "note": styled("•", fg="yellow"),
        "broken": styled("✗", fg="red"),
    }
    for item in found:
        echo(signs[item.state], f" {item.what:<10} {one_line(item.text)}")
        if item.mend:
            echo(f"  {'':<10} → {one_line(item.mend)}")
    return 2 if broken else 0


def _run_check(look: Callable[[], list[DoctorFinding]]) -> list[DoctorFinding]:
    name = getattr(look, "__name__", "").strip("_<>").replace("lambda", "model")
    step(f"checking the {name}")
    try:
        return look()
    except DiscernError as error:
        text, mend = error.sentence.problem_and_advice()
        return [DoctorFinding(name, "broken", str(text), str(mend))]


def _python() -> list[DoctorFinding]:
    return [DoctorFinding("python", "ok", f"{platform.python_version()} on {platform.platform()}")]


def _packages() -> list[DoctorFinding]:
    missing, have = [], []
    for name in PACKAGES:
        try:
            have.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return [
            DoctorFinding(
                "packages", "broken", f"missing: {', '.join(missing)}", "run make install"
            )
        ]
    return [DoctorFinding("packages", "ok", ", ".join(have))]


def _home() -> list[DoctorFinding]:
    from memory.journal.tables.exported_copies import sweep_home
    from memory.settings.paths import Home

    home = Home.locate().prepare()
    sweep_home(home)
    return [DoctorFinding("home", "ok", str(home.data))]


def _settings() -> list[DoctorFinding]:
    from memory.settings.paths import Home
    from memory.settings.settings import read_settings

    home = Home.locate()
    read_settings(home)
    own = home.settings_file.exists()
    text = str(home.settings_file) if own else "the defaults"
    return [DoctorFinding("settings", "ok", text)]


def _journal() -> list[DoctorFinding]:
    from memory.journal.journal import Journal
    from memory.journal.tables.exported_copies import unfinished
    from memory.settings.paths import Home

    home = Home.locate()
    with Journal(home.journal) as journal:
        problem = journal.check()
        turns, differences = len(journal.turns.all()), len(journal.differences.all())
        parts = unfinished(home, journal.exported_copies)
    if problem:
        return [
            DoctorFinding(
                "journal", "broken", problem, "run `discern memory restore` with a backup"
            )
        ]
    held = f"{counted(turns, 'turn')}, {counted(differences, 'difference')}"
    found = [DoctorFinding("journal", "ok", f"{held}, intact")]
    for path in parts:
        said = f"an unfinished backup is in {path}"
        found.append(
            DoctorFinding("copy", "note", said, "delete that folder if no backup is running")
        )
    return found


def _checkpoints() -> list[DoctorFinding]:
    from agent.chat.checkpoints import look
    from memory.settings.paths import Home

    wrong = look(Home.locate().checkpoints)
    if wrong is None:
        return [DoctorFinding("threads", "ok", "checkpoints of open threads, intact")]
    text, mend = wrong.problem_and_advice()
    return [DoctorFinding("threads", "note", str(text), str(mend))]


def _disk() -> list[DoctorFinding]:
    from memory.settings.paths import Home

    free = shutil.disk_usage(Home.locate().data).free
    if free < 1 << 29:
        return [
            DoctorFinding(
                "disk", "broken", f"{_size(free)} free", "free half a gigabyte for training"
            )
        ]
    return [DoctorFinding("disk", "ok", f"{_size(free)} free")]


def _device() -> list[DoctorFinding]:
    import llama_cpp

    threads = f"{counted(_threads(), 'thread')} for llama.cpp"
    gpu = "with" if llama_cpp.llama_supports_gpu_offload() else "without"
    if torch_device() == "cuda":
        return [
            DoctorFinding("device", "ok", f"NVIDIA GPU for training, llama.cpp {gpu} GPU support")
        ]
    return [DoctorFinding("device", "ok", f"CPU for training, {threads} ({gpu} GPU support)")]


def _threads() -> int:
    from agent.llama.gguf.llama_file import physical_threads

    return physical_threads()


def torch_device() -> str:
    """Return the training device: cuda or cpu."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _model(path: str | None) -> list[DoctorFinding]:
    from agent.llama.engine import Engine
    from agent.models.models import free_memory
    from agent.models.served_model import served_model, with_model
    from memory.settings.paths import Home
    from memory.settings.settings import read_settings

    settings = with_model(read_settings(Home.locate()), path)
    with Engine.open(served_model(settings), settings.model) as engine:
        info = engine.info
    found = [
        DoctorFinding(
            "model",
            "ok",
            f"{info.name}: {info.description}, {info.parameters / 1e6:.1f} M parameters, "
            f"context {info.context} of {info.context_trained}",
        )
    ]
    if why := _untrainable(info.path):
        return [*found, why]
    needed = training_bytes(info.parameters)
    free = free_memory()
    fits = needed < free
    found.append(
        DoctorFinding(
            "training",
            "ok" if fits else "note",
            f"needs about {_size(needed)} of {_size(free)} free",
            "" if fits else "choose a smaller model, or train on another machine",
        )
    )
    return found


def _untrainable(path: Path) -> DoctorFinding | None:
    from memory.errors import ModelError
    from trainer.evaluate.torch_parity import require_agreement

    try:
        require_agreement(path)
    except ModelError as error:
        text, mend = error.sentence.problem_and_advice()
        return DoctorFinding("training", "note", str(text), str(mend))
    return None


def training_bytes(parameters: int) -> int:
    """Estimate the maximum memory of a training run in bytes: fp32 weights and activations."""
    return 4 * parameters + (1 << 30)


def _adapter() -> list[DoctorFinding]:
    from agent.adapters import read_adapter, read_pointer, verify
    from memory.settings.paths import Home

    home = Home.locate()
    current = read_pointer(home.adapters).current
    if current is None:
        return [DoctorFinding("adapter", "ok", "none, using the base model alone")]
    adapter = read_adapter(home.adapters, current)
    verify(adapter)
    return [DoctorFinding("adapter", "ok", f"{current[:8]}, files verified")]


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
