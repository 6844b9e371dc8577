"""`discern model`: download, find, check and select models."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from tui.cli.completion_values import models_here, models_known
from tui.cli.shared_options import (
    as_json,
    open_home,
    print_json,
    step,
    working,
    yes_option,
)
from tui.terminal.printing import confirm, echo, styled

STATE_SIGNS = {"ok": "✓", "note": "•", "broken": "✗"}
COLOURS = {"ok": "green", "note": "yellow", "broken": "red"}


@click.group(
    epilog="""\b
Examples:
  discern model pull qwen3-0.6b
  discern model pull qwen3-4b --quant q4_k_m --use
  discern model pull Qwen/Qwen3-4B-GGUF:Qwen3-4B-Q5_K_M.gguf
  discern model list
  discern model use ~/models/my-qwen.gguf
"""
)
def model() -> None:
    """Download, find, check and select models.

    Only `pull` uses the network.
    """


@model.command(
    epilog="""\b
Examples:
  discern model pull qwen3-0.6b --use
  discern model pull qwen3-4b --quant q4_k_m
"""
)
@click.argument("name", shell_complete=models_known)
@click.option("--quant", help="Precision; by default the best that fits.")
@click.option("--use", "then_use", is_flag=True, help="Use the model afterwards.")
@yes_option
@as_json
def pull(name: str, quant: str | None, then_use: bool, yes: bool, as_json: bool) -> int:
    """Download a model.

    NAME is a known name (`discern model list --known`) or OWNER/REPO:FILE.gguf.
    """
    from agent.models.models import resolve
    from agent.models.pull import look
    from agent.models.pull import pull as fetch
    from tui.terminal.sanitize import one_line

    home, _settings = open_home()
    repo, file = resolve(name, quant)
    step(f"looking up {repo}:{file}")
    offer = look(home.prepare(), repo, file)
    step("")
    kept = f", {offer.have / 1000000.0:,.0f} MB already downloaded" if offer.have else ""
    about = (
        f"{one_line(offer.repo)}:{one_line(offer.file)}\n"
        f"  size     {offer.size / 1e6:,.0f} MB{kept}\n"
        f"  license  {one_line(offer.licence)}\n  sha256   {offer.sha256}\n  to       {offer.target}"
    )
    echo(about, err=as_json)
    if not yes and sys.stdin.isatty() and not confirm("Download it?", default=True, err=as_json):
        return 1
    path = fetch(offer, _Bar())
    step("")
    if as_json:
        print_json({"path": path, "sha256": offer.sha256, "licence": offer.licence})
    else:
        echo(f"Downloaded and verified: {path}")
    return _use(path, as_json=False, quiet=as_json) if then_use else 0


class _Bar:
    """One transient line with progress, speed and time left."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._first: int | None = None
        self._shown = 0.0

    def __call__(self, done: int, total: int) -> None:
        from tui.training.progress import bar, clock

        self._first = done if self._first is None else self._first
        now = time.monotonic()
        if now - self._shown < 0.2 and done < total:
            return
        self._shown = now
        if done >= total:
            step("verifying")
            return
        speed = (done - self._first) / max(1e-3, now - self._began)
        step(
            f"{bar(done / max(1, total), 20)} {done / 1e6:,.0f}/{total / 1e6:,.0f} MB, "
            f"{speed / 1e6:.1f} MB/s, {clock((total - done) / max(1.0, speed))} left"
        )


@model.command(
    "list",
    epilog="""\b
Examples:
  discern model list
  discern model list --known
""",
)
@click.option("--known", is_flag=True, help="List the models that `pull` knows by name.")
@as_json
def list_all(known: bool, as_json: bool) -> None:
    """List the models on this machine.

    Includes Discern's own, the Hugging Face cache, Ollama and LM Studio.
    """
    from agent.models.models import advised, find_models, free_memory, known_models
    from agent.models.served_model import served_model
    from tui.terminal.sanitize import one_line

    home, settings = open_home()
    if known:
        free = free_memory()
        rows = [(item, advised(item, free)) for item in known_models()]
        if as_json:
            print_json(
                [{"name": x.name, "repo": x.repo, "files": x.files, "advised": q} for x, q in rows]
            )
            return
        for one, quant in rows:
            echo(
                f"{one.name:<22} {one.use:<10} {', '.join(one.files)} "
                f"(here: {quant}; {free / 1e9:.0f} GB of memory free)"
            )
        return
    served = served_model(settings).resolve()
    found = find_models(home)
    if as_json:
        print_json([{"name": x.name, "path": x.path, "size": x.size, "whose": x.whose,
                     "served": x.path.resolve() == served} for x in found])  # fmt: skip
        return
    for item in found:
        sign = "◆" if item.path.resolve() == served else " "
        echo(f"{sign} {one_line(item.name):<60} {item.size / 1e6:>8,.0f} MB  {item.whose}")
    if not any(item.path.resolve() == served for item in found):
        echo(f"◆ {one_line(str(served))}")
    if not found:
        echo(
            "No other models were found. `discern model list --known` names models to download, such "
            "as `discern model pull qwen3-0.6b` (640 MB)."
        )


@model.command(
    epilog="""\b
Examples:
  discern model use qwen3-0.6b
  discern model use ~/models/my-qwen.gguf
  discern model use starter
"""
)
@click.argument("name", shell_complete=models_here)
@as_json
def use(name: str, as_json: bool) -> int:
    """Use the model NAME from now on.

    NAME is a path, a name from `list`, or "starter". The file is tested first.

    An embedding model is set as `memory.embedder` instead.
    """
    from agent.models.models import find_model

    home, _settings = open_home()
    if name == "starter":
        return _use(None, as_json=as_json)
    return _use(find_model(home, name), as_json=as_json)


@model.command(
    epilog="""\b
Examples:
  discern model info
  discern model info qwen3-4b --json
"""
)
@click.argument("name", shell_complete=models_here, required=False)
@as_json
def info(name: str | None, as_json: bool) -> int:
    """Show what a model can be used for here.

    Checks the current model, or NAME.
    """
    from agent.models.compatibility import check_compatibility
    from agent.models.models import find_model
    from agent.models.served_model import served_model
    from trainer.evaluate.torch_parity import require_agreement

    home, settings = open_home()
    path = find_model(home, name) if name else served_model(settings)
    with working("trying the model and checking free memory"):
        found = check_compatibility(path, settings, require_trainable=require_agreement)
    _show(found, as_json)
    return 0 if found.serves else 1


@model.command(epilog="\b\nExamples:\n  discern model remove qwen3-0.6b")
@click.argument("name", shell_complete=models_here)
@yes_option
def remove(name: str, yes: bool) -> int:
    """Delete a model downloaded with `pull`.

    Files of other programs are not touched.
    """
    from agent.models.models import find_model, models_folder
    from agent.models.served_model import served_model
    from memory.errors import ModelError

    home, settings = open_home()
    path = find_model(home, name)
    folder = models_folder(home)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelError(
            "{path} was not downloaded by Discern; remove it with the program that owns it",
            path=path,
        )
    if not home.holds(path):
        raise ModelError(
            "{path} is outside the home folder, reached through a link; delete it yourself",
            path=path,
        )
    if path.resolve() == served_model(settings).resolve():
        raise ModelError(
            "{path} is in use; switch to another model first: `discern model use starter`",
            path=path,
        )
    size = path.stat().st_size
    if not yes and sys.stdin.isatty() and not confirm(f"Delete {path}?", default=False):
        return 1
    path.unlink()
    for parent in list(path.parents)[:4]:
        if parent == folder or any(parent.iterdir()):
            break
        parent.rmdir()
    echo(f"Deleted {path} ({size / 1000000.0:,.0f} MB).")
    return 0


def _use(path: Path | None, *, as_json: bool, quiet: bool = False) -> int:
    from agent.models.compatibility import check_compatibility
    from agent.models.served_model import STARTER
    from memory.errors import ModelError
    from memory.settings.settings_file import write_setting
    from trainer.evaluate.torch_parity import require_agreement
    from tui.terminal.sanitize import one_line

    home, settings = open_home()
    with working("trying the model and checking free memory"):
        found = check_compatibility(path or STARTER, settings, require_trainable=require_agreement)
    if not quiet:
        _show(found, as_json)
    if found.embeds:
        write_setting(home, "memory", "embedder", str(path))
        if not (as_json or quiet):
            echo("It is used for vector search from the next start.")
        return 0
    if not found.serves:
        worst = next(line for line in found.lines if line.state == "broken")
        raise ModelError(
            "{path} cannot be used on this machine: {text}", path=found.path, text=worst.text
        )
    write_setting(home, "model", "path", str(path) if path else "")
    if not (as_json or quiet):
        echo(f"{one_line(found.name)} will be used from the next chat on.")
        if not found.trains:
            echo("It cannot be trained on this machine, so marks are only recalled.")
    return 0


def _show(found: object, as_json: bool) -> None:
    from agent.models.compatibility import Compatibility
    from tui.terminal.sanitize import one_line

    assert isinstance(found, Compatibility)
    if as_json:
        print_json(
            {"path": found.path, "name": found.name, "serves": found.serves,
             "trains": found.trains, "lines": found.lines}
        )  # fmt: skip
        return
    echo(f"{one_line(found.name)}  {one_line(str(found.path))}")
    for line in found.lines:
        sign = styled(STATE_SIGNS[line.state], fg=COLOURS[line.state])
        echo("  ", sign, f" {line.what:<10} {one_line(str(line.text))}")
