"""`discern memory`: view and manage marks. Its subcommands are in the modules of this package."""

from __future__ import annotations

import click

from tui.cli.memory import edit, list, maintenance, search, transfer

PARTS = (list, search, edit, transfer, maintenance)


@click.group(
    epilog="""\b
Examples:
  discern memory list --state waiting
  discern memory search "capital of Zubrowka"
  discern memory why                    what was recalled for the last reply
  discern memory export marks.jsonl && discern memory check
"""
)
def memory() -> None:
    """View and manage marks: list, search, edit, pin, forget, import, export and check."""


for part in PARTS:
    for command in part.COMMANDS:
        memory.add_command(command)
