"""`discern night`: train every night, manage the system timer, show recent nights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

from memory.errors import SettingsError, TrainingError
from memory.sentence import STORED, to_plain
from tui.cli.shared_options import (
    as_json,
    open_home,
    print_json,
    report_signal,
    step,
    yes_option,
)
from tui.cli.training.train import ProgressPrinter
from tui.terminal.printing import confirm, echo
from tui.terminal.signals import Terminated, on_signals

if TYPE_CHECKING:
    from memory.journal.tables.nights import Night
    from trainer.night.request import Cancellation

EXAMPLES = """\b
Examples:
  discern night                 train every night while this runs; Ctrl-C stops it
  discern night --once          run now if a night is due, then exit
  discern night install         set up systemd, launchd or cron; shows the files first
  discern night status          show the timer, the next night and recent results
  discern night uninstall       remove the timer
"""
KINDS = click.Choice(["systemd", "launchd", "cron"])


@click.group(invoke_without_command=True, epilog=EXAMPLES)
@click.option(
    "--once", is_flag=True, help="Run now if a night is due, then exit (for cron or systemd)."
)
@as_json
@click.pass_context
def night(ctx: click.Context, once: bool, as_json: bool) -> int:
    """Train every night at the configured time while this runs. Ctrl-C stops it."""
    if ctx.invoked_subcommand is not None:
        return 0
    return _once(as_json) if once else _serve()


def _once(as_json: bool) -> int:
    from trainer.night.night_process import run_in_child
    from trainer.night.once_per_date import run_if_due
    from trainer.night.request import Cancellation, RunRequest

    home, settings = open_home()
    cancel = Cancellation()
    ended: list[int] = []
    try:
        with _suspending_on_signals(cancel, ended, waiting=False):
            found = run_if_due(
                RunRequest(home, settings),
                on_event=ProgressPrinter(),
                cancel=cancel,
                run=run_in_child,
            )
    except TrainingError as error:
        return report_signal(error, ended)
    step("")
    if as_json:
        print_json(found.to_json() if found else {"verdict": "not due"})
    else:
        echo(str(found.sentence) if found else "No night is due.")
    return 0


def _serve() -> int:
    from trainer.night.due_time import next_run
    from trainer.night.night_scheduler import NightListeners, serve
    from trainer.night.request import Cancellation, RunRequest

    home, settings = open_home()
    when = next_run(settings)
    if when is None:
        raise SettingsError(
            "nightly training is disabled; set night.enabled = true in config.toml, or run "
            "`discern train`"
        )
    echo(f"Next night: {when:%Y-%m-%d %H:%M}. Press Ctrl-C to stop.", err=True)
    cancel = Cancellation()
    ended: list[int] = []
    with _suspending_on_signals(cancel, ended, waiting=True):
        serve(
            RunRequest(home, settings),
            NightListeners(
                on_event=ProgressPrinter(),
                on_report=lambda done: echo(f"\n{done.sentence}"),
                on_error=lambda error: echo(f"\ndiscern: {error}", err=True),
            ),
            cancel=cancel,
        )
    return 128 + ended[0] if ended else 0


@contextmanager
def _suspending_on_signals(
    cancel: Cancellation, ended: list[int], *, waiting: bool
) -> Iterator[None]:
    """Suspend the night when the service stops or the machine shuts down, so that it can resume."""

    def leave(number: int) -> None:
        cancel.suspend()
        again, ended[:] = bool(ended), ended or [number]
        if waiting and not again:
            raise Terminated(number)  # nothing else interrupts the wait for the next tick

    with on_signals(leave):
        yield


@night.command(
    epilog="""\b
Examples:
  discern night install
  discern night install --kind cron --yes
"""
)
@click.option("--kind", type=KINDS, help="The timer to use; by default the one this system has.")
@yes_option
@as_json
def install(kind: Any, yes: bool, as_json: bool) -> None:
    """Run nights with the system timer.

    Shows the files first and asks for confirmation.
    """
    from trainer.night import service

    home, settings = open_home()
    made = service.plan(kind or service.detect(), home.prepare(), settings)
    if as_json:
        if yes:
            service.install(made)
        files = {str(path): content for path, content in made.files}
        print_json({"kind": made.kind, "files": files, "line": made.line, "installed": yes})
        return
    echo(f"These files will be written ({made.kind}):\n\n{made.preview}\n")
    if not yes and not confirm("Install it?", default=True):
        echo("Nothing was installed.")
        return
    service.install(made)
    echo(
        "Installed: the timer checks every hour if a night is due. `discern night "
        "uninstall` removes it."
    )


@night.command(epilog="\b\nExamples:\n  discern night uninstall")
@as_json
def uninstall(as_json: bool) -> None:
    """Remove the system timer."""
    from trainer.night import service

    removed = service.uninstall()
    if as_json:
        print_json({"removed": list(removed)})
    elif removed:
        echo("Removed:\n" + "\n".join(f"  {item}" for item in removed))
    else:
        echo("No timer is installed.")


@night.command(
    epilog="""\b
Examples:
  discern night status
  discern night status --json | jq .next
"""
)
@as_json
def status(as_json: bool) -> None:
    """Show the timer, the next night and the results of recent ones."""
    from memory.journal.journal import Journal
    from trainer.night import service
    from trainer.night.due_time import next_run

    home, settings = open_home()
    kinds: tuple[service.ServiceKind, ...] = ("systemd", "launchd", "cron")
    timers = {kind: service.state(kind) for kind in kinds if service.where_installed(kind)}
    nights: list[Night] = []
    if home.journal.exists():
        with Journal(home.journal) as journal:
            nights = journal.nights.latest(10)
    when = next_run(settings)
    if as_json:
        print_json({"timers": timers, "next": when, "nights": [_to_json(one) for one in nights]})
        return
    for kind, state in timers.items():
        echo(f"Timer: {kind}, {state}.")
    if not timers:
        echo("Timer: none; nights run while a chat or `discern night` is running.")
    echo(f"Next night: {when:%Y-%m-%d %H:%M}." if when else "Nights are disabled.")
    from tui.terminal.sanitize import one_line

    for night in nights:
        tries = f" (attempt {night.attempt})" if night.attempt > 1 else ""
        outcome = one_line(str(night.outcome or ""), 160)
        echo(f"{night.day}  {night.state}{tries}  {outcome}")


def _to_json(night: Night) -> dict[str, Any]:
    values = {item.name: getattr(night, item.name) for item in fields(night)}
    return {STORED: [], **to_plain(values)}
