"""The ledger of nights: whether tonight's run is still to be done, and doing it exactly once.

One row a local date in the journal decides, whoever asks (a chat's scheduler, `discern night`, cron).
Nights missed while nothing was open are caught up once; a run that was cut off is tried again, three
times in all.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from memory.difference import Difference, State
from memory.errors import DiscernError, NothingToTrainError
from memory.home import Home, Settings
from memory.journal import Journal
from trainer.night import forgotten, run_night
from trainer.report import Report
from trainer.run import OnEvent

STALE_SECONDS = 180.0
"""A night whose heartbeat is older was cut off and may be claimed anew."""
BEAT_SECONDS = 30.0
ATTEMPTS = 3


def due_moment(settings: Settings, moment: datetime) -> datetime:
    """Return the local time at which a night was last due, seen from `moment` (an aware time)."""
    hour, minute = map(int, settings.night.time.split(":"))
    local = moment.astimezone()
    night = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return night if night <= local else night - timedelta(days=1)


def run_if_due(
    home: Home,
    settings: Settings,
    *,
    model_path: Path | None = None,
    now: datetime | None = None,
    on_event: OnEvent = lambda event: None,
    cancel: threading.Event | None = None,
) -> Report | None:
    """Do the night's run when it is due and nobody has done it; returns its report, else None.

    The ledger has one row a local date. Nights missed while nothing was open are caught up once, by
    the latest of them. A run that was cut off is tried again, three times in all.
    """
    from agent.chat import served_model

    if not settings.night.enabled:
        return None
    home.prepare()
    moment = due_moment(settings, now or datetime.now().astimezone())
    day = moment.date().isoformat()
    owner = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
    with Journal(home.journal) as journal:
        latest = journal.nights(1)
        if latest and latest[0]["day"] > day:
            return None  # the clock or the time zone went back
        if not journal.claim_night(day, owner, stale_after=STALE_SECONDS, attempts=ATTEMPTS):
            return None
        fresh = _news(home, journal.differences(), moment)
        if fresh < settings.night.minimum:
            journal.end_night(day, owner, "nothing", f"{fresh} new differences")
            return None
        with _heartbeat(journal, day, owner):
            try:
                report = run_night(
                    home,
                    settings,
                    model_path=model_path or served_model(settings),
                    on_event=on_event,
                    cancel=cancel,
                )
            except NothingToTrainError as error:
                journal.end_night(day, owner, "nothing", str(error))
                return None
            except DiscernError as error:
                if cancel is None or not cancel.is_set():  # a stopped night is tried again
                    journal.end_night(day, owner, "failed", str(error))
                raise
        journal.end_night(day, owner, report.verdict, report.sentence)
        return report


def _news(home: Home, differences: Sequence[Difference], moment: datetime) -> int:
    """Count what the adapter that serves does not know: differences that waited at `moment`, and
    those it was trained on that were forgotten since."""
    waiting = sum(
        difference.teaches and difference.state is State.WAITING and difference.at <= moment
        for difference in differences
    )
    return waiting + len(forgotten(home, differences))


@contextmanager
def _heartbeat(journal: Journal, day: str, owner: str) -> Iterator[None]:
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_SECONDS):
            journal.beat_night(day, owner)

    thread = threading.Thread(target=beat, name="discern-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
