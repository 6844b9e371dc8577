"""`discern starter`: build the starter model that ships with Discern."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tui.cli.shared_options import as_json, print_json, step
from tui.terminal.printing import echo


@click.group(
    epilog="""\b
Examples:
  discern starter card
  discern starter build --minutes 90 --out starter
"""
)
def starter() -> None:
    """Build the starter model that ships with Discern, or show its card."""


@starter.command(
    epilog="""\b
Examples:
  discern starter build --minutes 90 --out starter
  discern starter build --tokens 200000 --size tiny --out /tmp/try
"""
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("starter"),
    show_default=True,
    help="Folder to build in; an interrupted build resumes there.",
)
@click.option(
    "--minutes", type=click.FloatRange(min=0), default=0.0, help="Training time in minutes."
)
@click.option("--tokens", type=click.IntRange(min=0), default=0, help="Number of training tokens.")
@click.option("--size", type=click.Choice(["tiny", "small", "large"]), default="small")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
@as_json
def build(
    out: Path, minutes: float, tokens: int, size: str, seed: int, threads: int, as_json: bool
) -> None:
    """Generate the text, train the model, and write its GGUF and card."""
    from trainer.starter.build import BuildOptions
    from trainer.starter.build import build as build_starter

    if not minutes and not tokens:
        raise click.UsageError("set how long to train: --minutes 90 or --tokens 20000000")

    def tell(event: dict[str, Any]) -> None:
        step("  ".join(f"{name} {value}" for name, value in event.items()))

    options = BuildOptions(seed=seed, minutes=minutes, tokens=tokens, size=size, threads=threads)
    path = build_starter(out, options, tell)
    step("")
    if as_json:
        print_json({"gguf": path, "card": path.with_name("card.json")})
    else:
        echo(f"Built {path}. Try it with: discern --model {path}")


@starter.command(epilog="\b\nExamples:\n  discern starter card | jq .measured")
def card() -> None:
    """Print the card of the included starter model (JSON)."""
    from agent.models.served_model import STARTER

    echo(STARTER.with_name("card.json").read_text(encoding="utf-8").rstrip())
