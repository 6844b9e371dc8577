"""Call `run_if_due` every minute with APScheduler; the ledger in the journal decides what is due.

Ticks follow the monotonic clock. APScheduler's interval trigger compares wall-clock times, so a clock
set back by an hour would stop it for an hour; here each tick is a job that is due at once. The job
store is in memory because a persistent one skips late jobs, loses missed nights and runs twice with two
processes. A late or repeated tick is harmless.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from memory.errors import DiscernError
from trainer.adapters import publish
from trainer.events import OnEvent
from trainer.night.night_process import run_in_child
from trainer.night.once_per_date import run_if_due
from trainer.night.request import Cancellation, RunRequest
from trainer.report.report import Report

if TYPE_CHECKING:
    from apscheduler.schedulers.base import BaseScheduler

TICK_SECONDS: float = 60


@dataclass(frozen=True, slots=True)
class NightListeners:
    """Callbacks for the events of a night, its report, or its error."""

    on_event: OnEvent = lambda event: None
    on_report: Callable[[Report], None] = lambda report: None
    on_error: Callable[[DiscernError], None] = lambda error: None


def background(
    request: RunRequest,
    listeners: NightListeners | None = None,
    cancel: Cancellation | None = None,
) -> BaseScheduler:
    """Start a scheduler in the background; end it with `.shutdown(wait=False)`."""
    from apscheduler.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(daemon=True)
    _add(scheduler, request, listeners or NightListeners(), cancel)
    scheduler.start()
    return scheduler


def serve(
    request: RunRequest,
    listeners: NightListeners | None = None,
    cancel: Cancellation | None = None,
) -> None:
    """Run nights in this process until it is interrupted (`discern night`)."""
    from apscheduler.schedulers.blocking import BlockingScheduler

    scheduler = BlockingScheduler()
    _add(scheduler, request, listeners or NightListeners(), cancel)
    try:
        scheduler.start()
    except (KeyboardInterrupt, SystemExit):
        if cancel is not None:
            cancel.suspend()
        if scheduler.running:
            scheduler.shutdown(wait=True)


def _add(
    scheduler: Any,
    request: RunRequest,
    listeners: NightListeners,
    cancel: Cancellation | None,
) -> None:
    from apscheduler.events import EVENT_SCHEDULER_SHUTDOWN, EVENT_SCHEDULER_STARTED

    swept = threading.Event()
    over = threading.Event()
    running = threading.Lock()

    def tick() -> None:
        with running:
            try:
                if not swept.is_set():
                    swept.set()
                    publish.sweep(request.home)
                report = run_if_due(
                    request, on_event=listeners.on_event, cancel=cancel, run=run_in_child
                )
            except DiscernError as error:
                listeners.on_error(error)
                return
            if report is not None:
                listeners.on_report(report)

    def pulse() -> None:
        while True:
            if not running.locked() and not over.is_set():
                # Replace the job: an older one would wait if the clock was set back. The interval keeps
                # it in the store, because removing it breaks a scheduler that is shut down.
                scheduler.add_job(
                    tick,
                    "interval",
                    days=1,
                    next_run_time=datetime.now().astimezone(),
                    coalesce=True,
                    max_instances=1,
                    misfire_grace_time=None,
                    id="night",
                    replace_existing=True,
                )
            if over.wait(TICK_SECONDS):  # waits of `threading` are monotonic
                return

    pulses = threading.Thread(target=pulse, name="discern-ticks", daemon=True)
    scheduler.add_listener(lambda _event: pulses.start(), EVENT_SCHEDULER_STARTED)
    scheduler.add_listener(lambda _event: over.set(), EVENT_SCHEDULER_SHUTDOWN)
