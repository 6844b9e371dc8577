"""`discern night`: train by itself; the machine's own timer for it; what the last nights did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from memory.errors import SettingsError, TrainingError
from tui.cli.shared_options import as_json, open_home, print_json, step
from tui.cli.training.train import Progress
from tui.terminal.printing import confirm, echo
from tui.terminal.signals import Ended, told

if TYPE_CHECKING:
    from trainer.night.cancellation import Cancel

EXAMPLES = """\b
Examples:
  discern night                 train every night while this runs; Ctrl-C ends it
  discern night --once          run now if a night is due, and leave
  discern night install         let systemd, launchd or cron call that; shows what it writes first
  discern night status          the timer, the next night, what the last ones did
  discern night uninstall       remove the timer again
"""
KINDS = click.Choice(["systemd", "launchd", "cron"])


@click.group(invoke_without_command=True, epilog=EXAMPLES)
@click.option("--once", is_flag=True, help="Run now if a night is due, and leave (cron, systemd).")
@as_json
@click.pass_context
def night(ctx: click.Context, once: bool, as_json: bool) -> int:
    """Train every night at the configured time while this runs (Ctrl-C ends it)."""
    if ctx.invoked_subcommand is not None:
        return 0
    return _once(as_json) if once else _serve()


def _once(as_json: bool) -> int:
    from trainer.night.cancellation import Cancel
    from trainer.night.ledger import run_if_due
    from trainer.night.night_process import run_apart

    home, settings = open_home()
    cancel = Cancel()
    ended: list[int] = []
    try:
        with _leaves(cancel, ended, waiting=False):
            found = run_if_due(home, settings, on_event=Progress(), cancel=cancel, run=run_apart)
    except TrainingError as error:
        if not ended:
            raise
        step("")
        echo(f"discern: {error}", err=True)
        return 128 + ended[0]
    step("")
    if as_json:
        print_json(found.to_json() if found else {"verdict": "not due"})
    else:
        echo(found.sentence if found else "No night is due.")
    return 0


def _serve() -> int:
    from trainer.night.cancellation import Cancel
    from trainer.night.schedule import next_run, serve

    home, settings = open_home()
    when = next_run(settings)
    if when is None:
        raise SettingsError(
            "nights are off (night.enabled = false in config.toml); "
            "set it to true, or run `discern train`"
        )
    echo(f"The next night is {when:%Y-%m-%d %H:%M}. Ctrl-C ends this.", err=True)
    cancel = Cancel()
    ended: list[int] = []
    with _leaves(cancel, ended, waiting=True):
        serve(
            home,
            settings,
            on_event=Progress(),
            on_report=lambda done: echo(f"\n{done.sentence}"),
            on_error=lambda error: echo(f"\ndiscern: {error}", err=True),
            cancel=cancel,
        )
    return 128 + ended[0] if ended else 0


@contextmanager
def _leaves(cancel: Cancel, ended: list[int], *, waiting: bool) -> Iterator[None]:
    """A service that is stopped, or a machine that goes down, leaves the night to be taken up."""

    def leave(number: int) -> None:
        cancel.leave()
        again, ended[:] = bool(ended), ended or [number]
        if waiting and not again:
            raise Ended(number)  # nothing else ends the wait for the next tick

    with told(leave):
        yield


@night.command(
    epilog="""\b
Examples:
  discern night install
  discern night install --kind cron --yes
"""
)
@click.option("--kind", type=KINDS, help="Which timer to use; by default what the machine has.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def install(kind: Any, yes: bool, as_json: bool) -> None:
    """Let the machine's own timer run the nights.

    It shows what it would write and asks first.
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
    echo(f"This is what will be written ({made.kind}):\n\n{made.preview}\n")
    if not yes and not confirm("Install it?", default=True):
        echo("Nothing was written.")
        return
    service.install(made)
    echo(
        "Installed: every hour the machine looks whether a night is due. "
        "`discern night uninstall` removes it."
    )


@night.command(epilog="\b\nExamples:\n  discern night uninstall")
@as_json
def uninstall(as_json: bool) -> None:
    """Remove the timer that `install` set up."""
    from trainer.night import service

    removed = service.uninstall()
    if as_json:
        print_json({"removed": list(removed)})
    elif removed:
        echo("Removed:\n" + "\n".join(f"  {item}" for item in removed))
    else:
        echo("No timer is installed, so there is nothing to remove.")


@night.command(
    epilog="""\b
Examples:
  discern night status
  discern night status --json | jq .next
"""
)
@as_json
def status(as_json: bool) -> None:
    """Show the timer, the next night and what the last ones did."""
    from memory.journal.journal import Journal
    from trainer.night import service
    from trainer.night.due_time import next_run

    home, settings = open_home()
    kinds: tuple[service.Kind, ...] = ("systemd", "launchd", "cron")
    timers = {kind: service.state(kind) for kind in kinds if service.where_installed(kind)}
    rows: list[dict[str, Any]] = []
    if home.journal.exists():
        with Journal(home.journal) as journal:
            rows = journal.nights(10)
    when = next_run(settings)
    if as_json:
        print_json({"timers": timers, "next": when, "nights": rows})
        return
    for kind, state in timers.items():
        echo(f"Timer: {kind}, {state}.")
    if not timers:
        echo("Timer: none; nights run while a chat or `discern night` is open.")
    echo(f"Next night: {when:%Y-%m-%d %H:%M}." if when else "Nights are switched off.")
    from tui.terminal.sanitize import one_line

    for row in rows:
        tries = f" (attempt {row['attempt']})" if row["attempt"] > 1 else ""
        echo(f"{row['day']}  {row['state']}{tries}  {one_line(row['outcome'] or '', 160)}")
