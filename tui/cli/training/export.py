"""`discern export`: export an adapter for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from tui.cli.completion_values import adapters
from tui.cli.shared_options import as_json, model_option, open_home, print_json, step
from tui.terminal.printing import echo


@click.command(
    epilog="""\b
Examples:
  discern export --merged --quant q4_k_m my-qwen.gguf   one GGUF for any llama.cpp
  discern export --adapter tonight.gguf                 only the GGUF LoRA
  discern export --peft my-adapter                      a folder for PeftModel.from_pretrained
  ollama create my-qwen -f my-qwen.gguf.Modelfile
"""
)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--merged", "form", flag_value="merged", help="Write base and adapter as one GGUF.")
@click.option("--adapter", "form", flag_value="adapter", help="Write the adapter as a GGUF LoRA.")
@click.option("--peft", "form", flag_value="peft", help="Write the adapter as a folder for PEFT.")
@click.option(
    "--quant",
    type=click.Choice(["f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m"]),
    default="q8_0",
    show_default=True,
    help="Precision of the merged file.",
)
@click.option(
    "--id",
    "identity",
    metavar="ID",
    shell_complete=adapters,
    help="Export this adapter instead of the current one.",
)
@click.option("--words", is_flag=True, help="Include the text of your marks in the card.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@model_option
@as_json
def export(
    out: Path,
    form: str | None,
    quant: str,
    identity: str | None,
    words: bool,
    force: bool,
    model: str | None,
    as_json: bool,
) -> int:
    """Export the current adapter to OUT, with a card that describes it."""
    from agent.adapters import find_adapter
    from agent.models.served_model import served_model
    from agent.plugin.adapter_watch import current
    from memory.errors import AdapterError
    from trainer.adapters.adapter_export import ExportRequest
    from trainer.adapters.adapter_export import export as write_export
    from trainer.adapters.cards import ONLY_RELATED

    if form is None:
        raise click.UsageError("choose a format: --merged, --adapter or --peft")
    home, settings = open_home(model)
    adapter = find_adapter(home.adapters, identity) if identity else current(home)
    if adapter is None:
        raise AdapterError(
            "there is no current adapter; train one with `discern train`, or choose one with --id"
        )
    try:
        exported = write_export(
            home,
            settings,
            ExportRequest(
                adapter,
                out,
                form,  # type: ignore[arg-type]  # one of click's three
                served_model(settings),
                quant,  # type: ignore[arg-type]
                words=words,
                force=force,
            ),
            lambda name, done, total: step(f"{name} {done}/{total}"),
        )
    finally:
        step("")
    sound = exported.survived is None or exported.survived.sound
    if as_json:
        print_json({"out": exported.out, "files": exported.files, "survived": exported.survived})
    else:
        for path in exported.files:
            echo(f"Wrote {path}")
        if exported.survived:
            echo(exported.survived.sentence)
        if adapter.manifest.scoped:
            echo(f"Note: {ONLY_RELATED}")
    return 0 if sound else 1
