"""`discern completion`: what a shell needs to complete verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(
    epilog="""\b
Examples:
  discern completion bash >> ~/.bashrc
  discern completion fish > ~/.config/fish/completions/discern.fish
"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL."""
    from tui.cli import discern

    found = get_completion_class(shell)
    assert found is not None  # the choice above lists just those that click has
    click.echo(found(discern, {}, "discern", "_DISCERN_COMPLETE").source())
