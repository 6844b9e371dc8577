"""`discern starter`: build the small model that ships with Discern."""

from __future__ import annotations

import click


@click.group()
def starter() -> None:
    """Build the small model that ships with Discern."""
