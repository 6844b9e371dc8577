"""The card of an exported adapter, and its Ollama Modelfile.

A card names the base and its sha256, dates, counts and results, and includes the text of the marks only
on request. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.adapters import Adapter
    from memory.difference import Difference
    from trainer.evaluate.merge_eval import Survival

CHATML = """TEMPLATE \"\"\"{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
\"\"\"
PARAMETER stop "<|im_end|>"
PARAMETER stop "<|endoftext|>"
"""
FORMS = {
    "merged": "base and adapter in one GGUF, for llama.cpp and what is built on it",
    "adapter": "a GGUF LoRA to use with its base (llama.cpp: --lora)",
    "peft": "a LoRA in PEFT's layout (PeftModel.from_pretrained)",
}

ONLY_RELATED = (
    "Discern uses this adapter only for messages that are related to its lessons. Other programs apply "
    "it to all messages; other answers then change, too."
)


def card(
    adapter: Adapter,
    form: str,
    *,
    files: Mapping[str, str],
    quant: str = "",
    survived: Survival | None = None,
    differences: Sequence[Difference] = (),
) -> str:
    """Return the card in Markdown.

    `files` maps names to sha256. The text of the `differences` is printed, if there are any.
    """
    manifest = adapter.manifest
    facts = {
        "form": FORMS[form] + (f", {quant}" if quant else ""),
        "base": manifest.base.name,
        "base sha256": manifest.base.sha256,
        "adapter": manifest.id,
        "trained": f"{manifest.created:%Y-%m-%d %H:%M} UTC",
        "differences": str(len(manifest.differences)),
        "strength": f"{manifest.scale:g}",
        **{f"sha256 of {name}": digest for name, digest in sorted(files.items())},
        "made with": f"Discern {version('discern')}",
    }
    lines = ["# An adapter trained on differences", ""]
    lines += [
        "| | |",
        "|---|---|",
        *(f"| {name} | {_cell(text)} |" for name, text in facts.items()),
    ]
    if manifest.scoped:
        lines += ["", ONLY_RELATED]
    if manifest.metrics:
        lines += ["", "## What the gate measured", "", "| measure | value |", "|---|---|"]
        lines += [f"| {name} | {_cell(value)} |" for name, value in manifest.metrics.items()]
    if manifest.settings:
        lines += ["", "## How it was trained", "", "| setting | value |", "|---|---|"]
        lines += [f"| {name} | {_cell(value)} |" for name, value in manifest.settings.items()]
    if survived:
        lines += ["", "## What is left of it in this file", "", survived.sentence]
    if differences:
        lines += ["", "## What it was taught", ""]
        for item in differences:
            lines += [f"- asked: {_line(item.asked)}"]
            lines += [f"  sounds: {_line(item.contrast.sounds)}"] if item.contrast.sounds else []
    return "\n".join(lines) + "\n"


def modelfile(source: str, *, adapter: str = "", drawing: Mapping[str, float] | None = None) -> str:
    """Return an Ollama Modelfile for the GGUF named `source` in the same folder.

    It has the LoRA `adapter`, if given, and the sampling settings of the model.
    """
    lines = [f"FROM ./{source}"]
    lines += [f"ADAPTER ./{adapter}"] if adapter else []
    lines += [f"PARAMETER {name} {value:g}" for name, value in (drawing or {}).items()]
    return "\n".join(lines) + "\n" + CHATML


def _cell(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return _line(text).replace("|", "\\|")


def _line(text: str) -> str:
    return " ".join(text.split())
