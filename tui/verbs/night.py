"""`discern night`: train by itself, every night or once if it is due."""

from __future__ import annotations

import threading

import click

from memory.errors import SettingsError
from tui.verbs.shared_options import as_json, open_home, print_json, step
from tui.verbs.training import Progress


@click.command()
@click.option("--once", is_flag=True, help="Run now if a night is due, and leave (cron, systemd).")
@as_json
def night(once: bool, as_json: bool) -> None:
    """Train every night at the configured time while this runs (Ctrl-C ends it)."""
    from trainer.ledger import run_if_due
    from trainer.schedule import next_run, serve

    home, settings = open_home()
    if once:
        found = run_if_due(home, settings, on_event=Progress())
        step("")
        if as_json:
            print_json(found.to_json() if found else {"verdict": "not due"})
        else:
            click.echo(found.sentence if found else "No night is due.")
        return
    when = next_run(settings)
    if when is None:
        raise SettingsError(
            "nights are off (night.enabled = false in config.toml); "
            "set it to true, or run `discern train`"
        )
    click.echo(f"The next night is {when:%Y-%m-%d %H:%M}. Ctrl-C ends this.", err=True)
    cancel = threading.Event()
    serve(
        home,
        settings,
        on_event=Progress(),
        on_report=lambda done: click.echo(f"\n{done.sentence}"),
        on_error=lambda error: click.echo(f"\ndiscern: {error}", err=True),
        cancel=cancel,
    )
