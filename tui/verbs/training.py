"""`discern train`, `discern night`, `discern report`."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import Any

import click

from memory.errors import NothingToTrainError, SettingsError
from tui.verbs.shared_options import as_json, model_option, open_home, print_json, step


class Progress:
    """Training events → one passing line on a terminal, a line a phase elsewhere."""

    def __init__(self) -> None:
        self._phase = ""
        self._started = time.monotonic()

    def __call__(self, event: dict[str, Any]) -> None:
        phase = str(event.get("phase", ""))
        done = event.get("step", event.get("done"))
        of = event.get("steps", event.get("total"))
        parts = [f"{time.monotonic() - self._started:5.1f} s", phase]
        if done is not None and of:
            filled = round(20 * min(1.0, float(done) / float(of)))
            parts.append("█" * filled + "░" * (20 - filled) + f" {done}/{of}")
        if (loss := event.get("loss")) is not None:
            parts.append(f"loss {float(loss):.3f}")
        if (learnt := event.get("learnt")) is not None:
            parts.append(f"learnt {float(learnt):.0%}")
        if sys.stderr.isatty():
            step("  ".join(parts))
        elif phase != self._phase:
            click.echo("  ".join(parts), err=True)
        self._phase = phase


@click.command(
    epilog="""\b
Examples:
  discern train
  discern train --json | jq .verdict
"""
)
@click.option("--force", is_flag=True, help="Train even if nothing changed since the last time.")
@model_option
@as_json
def train(force: bool, model: str | None, as_json: bool) -> int:
    """Train an adapter on the differences now, test it, and publish it if it proves itself."""
    from agent.chat import served_model
    from trainer.night import run_night

    home, settings = open_home(model)
    try:
        report = run_night(
            home, settings, model_path=served_model(settings), on_event=Progress(), force=force
        )
    except NothingToTrainError as error:
        if not as_json:
            raise
        print_json({"verdict": "nothing", "sentence": str(error)})
        return 0
    finally:
        step("")
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(report.to_text(min(100, shutil.get_terminal_size().columns)))
    return 0 if report.verdict == "published" else 1


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


@click.command()
@as_json
def report(as_json: bool) -> None:
    """Show what the last training run found."""
    from trainer.report import latest

    home, _settings = open_home()
    found = latest(home.runs)
    if found is None:
        click.echo("null" if as_json else "Nothing has been trained yet. `discern train` begins.")
    elif as_json:
        print_json(found.to_json())
    else:
        click.echo(found.to_text(min(100, shutil.get_terminal_size().columns)))
