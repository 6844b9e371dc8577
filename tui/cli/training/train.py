"""`discern train`: train now, practice, watch a running training, stop or abort it."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import click

from memory.errors import NothingToTrainError, TrainingError
from trainer.event_json import logged_to_json
from trainer.events import Estimated, Event, Step, Trained, TrialStarted
from tui.cli.shared_options import (
    as_json,
    model_option,
    open_home,
    print_json,
    report_signal,
    step,
)
from tui.terminal.printing import echo
from tui.terminal.signals import on_signals
from tui.training.progress import bar, count_in
from tui.training.remaining_time import estimate_text
from tui.views.error_text import full_sentence

if TYPE_CHECKING:
    from memory.settings.paths import Home


class ProgressPrinter:
    """Show training events: one transient line on a terminal, otherwise one line per phase."""

    def __init__(self) -> None:
        self._phase = ""
        self._started = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Show one event of the run; the estimate stays."""
        if isinstance(event, Estimated):
            step("")
            echo(full_sentence(estimate_text(event)), err=True)
        parts = [f"{time.monotonic() - self._started:5.1f} s", event.phase]
        if isinstance(event, TrialStarted):
            parts.append(f"run {event.attempt}, rate {event.rate:g}, seed {event.seed}")
        if (count := count_in(event)) is not None and count[1]:
            done, total = count
            parts.append(f"{bar(done / total, 20)} {done}/{total}")
        if isinstance(event, Step):
            parts.append(f"loss {event.loss:.3f}")
        if isinstance(event, Step | Trained):
            parts.append(f"learned {event.learnt:.0%}")
        if sys.stderr.isatty():
            step("  ".join(parts))
        elif event.phase != self._phase:
            echo("  ".join(parts), err=True)
        self._phase = event.phase


@click.command(
    epilog="""\b
Examples:
  discern train
  discern train --json | jq .verdict
  discern train --episodes 5 --steps 1000 --dry-run
  discern train watch      follow a running training, including one started at night
  discern train stop       stop it; the best state so far is tested and kept if it passes
  discern train abort      abort it and discard everything
Ctrl-C stops and keeps the best state; a second Ctrl-C, or SIGTERM, aborts.
"""
)
@click.argument("action", type=click.Choice(["watch", "stop", "abort"]), required=False)
@click.option("--force", is_flag=True, help="Train even if nothing changed since the last run.")
@click.option(
    "--episodes",
    type=click.IntRange(1, 50),
    help="Practice: this many short runs with reshuffled lessons; the best one counts.",
)
@click.option("--steps", type=click.IntRange(1), help="Maximum steps per run.")
@click.option("--dry-run", is_flag=True, help="Train and report, but publish nothing.")
@model_option
@as_json
def train(
    action: Literal["watch", "stop", "abort"] | None,
    force: bool,
    episodes: int | None,
    steps: int | None,
    dry_run: bool,
    model: str | None,
    as_json: bool,
) -> int:
    """Train an adapter on your marks now, test it, and publish it if it passes the gate."""
    home, settings = open_home(model)
    if action == "watch":
        return _watch(home, as_json)
    if action is not None:
        return _request_end(home, action, as_json)

    from agent.models.served_model import served_model
    from trainer.night.night import run_night
    from trainer.night.request import Cancellation, Practice, RunRequest

    practice = None
    if episodes or steps or dry_run:
        practice = Practice(episodes or 1, steps or settings.training.max_steps, dry_run)
    stop, cancel = threading.Event(), Cancellation()
    ended: list[int] = []
    step("starting")
    try:
        with _stopping_on_signals(stop, cancel, ended):
            report = run_night(
                RunRequest(home, settings, served_model(settings), force=force, practice=practice),
                on_event=ProgressPrinter(),
                stop=stop,
                cancel=cancel,
            )
    except NothingToTrainError as error:
        if not as_json:
            raise
        print_json({"verdict": "nothing", "sentence": str(error)})
        return 0
    except TrainingError as error:
        return report_signal(error, ended)
    finally:
        step("")
    if as_json:
        print_json(report.to_json())
    else:
        from tui.cli.print_report import printed, room

        echo(printed(report, room()))
    return 0 if report.verdict in ("published", "practised") else 1


@contextmanager
def _stopping_on_signals(
    stop: threading.Event, cancel: threading.Event, ended: list[int]
) -> Iterator[None]:
    """Set `stop` at the first Ctrl-C and `cancel` at the second.

    SIGTERM and SIGHUP set `cancel` and are recorded in `ended`.
    """

    def heard(number: int) -> None:
        if number != signal.SIGINT:
            ended.append(number)
            cancel.set()
        elif stop.is_set():
            cancel.set()
        else:
            stop.set()
            echo(
                "\ndiscern: stopping; the best state so far is tested and kept if it passes "
                "(press Ctrl-C again to discard it)",
                err=True,
            )

    with on_signals(heard, signal.SIGINT):
        yield


def _request_end(home: Home, word: Literal["stop", "abort"], as_json: bool) -> int:
    from trainer.night.run import request_end

    folder = request_end(home, word)
    if as_json:
        print_json({"told": word, "run": folder.name})
    elif word == "stop":
        echo(f"Stopping {folder.name}: its best state so far is tested and kept if it passes.")
    else:
        echo(f"Aborting {folder.name}: nothing of it will be published.")
    return 0


def _watch(home: Home, as_json: bool) -> int:
    from trainer.night.run import find_active_run, follow
    from trainer.report.report import read_report

    folder = find_active_run(home)
    if folder is None:
        if as_json:
            echo("null")
        else:
            echo("No training is running. Start one with `discern train`.")
        return 0
    show = ProgressPrinter()
    for logged in follow(folder):
        if as_json:
            print_json(logged_to_json(logged))
        else:
            show(logged.event)
    if not as_json:
        step("")
        found = read_report(folder)
        echo(str(found.sentence) if found else "The run ended without a report.")
    return 0
