"""`discern memory`: see and rule what is remembered. Its verbs stand in the files beside this one."""

from __future__ import annotations

import click

from tui.cli.memory import edit, list, maintenance, search, transfer

PARTS = (list, search, edit, transfer, maintenance)


@click.group(
    epilog="""\b
Examples:
  discern memory list --state waiting
  discern memory search "capital of Zubrowka"
  discern memory why                    what the last reply was given
  discern memory export marks.jsonl && discern memory check
"""
)
def memory() -> None:
    """See and rule the differences: find, change, pin, forget, carry and check them."""


for part in PARTS:
    for command in part.COMMANDS:
        memory.add_command(command)
