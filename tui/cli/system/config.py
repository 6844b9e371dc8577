"""`discern config`: the active settings and their files."""

from __future__ import annotations

import click

from tui.cli.shared_options import as_json, open_home, print_json
from tui.terminal.printing import Safe, echo


@click.group(epilog='\b\nExamples:\n  discern config show\n  $EDITOR "$(discern config path)"')
def config() -> None:
    """Show the settings and where they are stored."""


@config.command(epilog='\b\nExamples:\n  discern config path\n  $EDITOR "$(discern config path)"')
@as_json
def path(as_json: bool) -> None:
    """Print the path of your config.toml (which may not exist yet)."""
    from memory.settings.paths import Home
    from memory.settings.settings import shipped_settings_file

    home = Home.locate()
    if as_json:
        print_json({"user": home.settings_file, "shipped": shipped_settings_file()})
    else:
        echo(str(home.settings_file))


@config.command(
    epilog="""\b
Examples:
  discern config show
  discern config show --json | jq .night
"""
)
@as_json
def show(as_json: bool) -> None:
    """Print all active settings."""
    _home, settings = open_home()
    values = settings.model_dump()
    if as_json:
        print_json(values)
        return
    import json

    from memory.transfer.export_schema import escape_unseen

    for section, keys in values.items():
        echo(f"[{section}]")
        for key, value in keys.items():
            text = escape_unseen(json.dumps(value, ensure_ascii=False))
            echo(Safe(f"{key} = {text}"))
        echo()
