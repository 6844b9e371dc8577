"""Ledger of nights: decide whether tonight's training is due, and run it exactly once.

The journal has one row per local date, which every caller checks (a chat's scheduler, `discern night`,
cron, systemd). A lock that the kernel releases when its holder dies distinguishes a running night from
an interrupted one; across machines a heartbeat does. The next tick resumes an interrupted night, up to
three attempts in all; then it is reported as failed. Several missed nights are made up for by one run.
A night that the user stopped stays stopped; one that ended because the chat was closed is resumed when
a chat is open again.

The process may be killed at any point. If that happens after the adapter was published and before the
row was closed, the next attempt finds the adapter and closes the row.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from typing import Protocol

from memory.difference import Difference, State
from memory.errors import (
    CutOffError,
    DiscernError,
    HomeError,
    NothingToTrainError,
    TrainingBusyError,
    TrainingError,
)
from memory.journal.journal import Journal
from memory.journal.tables.nights import Night
from memory.sentence import NOTHING, Sentence
from memory.settings.paths import Home
from memory.settings.settings import Settings
from trainer.adapters.adapter_staleness import forgotten, serving
from trainer.background_thread import background_thread
from trainer.events import OnEvent
from trainer.night import night_notice
from trainer.night.due_time import due_moment, is_quiet, night_of, on_battery
from trainer.night.night import run_night
from trainer.night.request import Cancellation, RunRequest
from trainer.night.run import Run, make_run_folder, try_lock
from trainer.report.report import Report

STALE_SECONDS = 180.0
"""A night on another machine with an older heartbeat was interrupted and may be claimed again."""
BEAT_SECONDS = 30.0
ATTEMPTS = 3
_AT_ONCE = float("-inf")
"""If the lock is free, a heartbeat of any age is stale, even one in the future after a clock change."""


class NightRunner(Protocol):
    """Runs the training of a night: `run_night`, or `run_in_child` in a child process."""

    def __call__(self, request: RunRequest, *, on_event: OnEvent, cancel: Cancellation) -> Report:
        """Run the training of `request`."""


def run_if_due(
    request: RunRequest,
    *,
    now: datetime | None = None,
    on_event: OnEvent = lambda event: None,
    cancel: Cancellation | None = None,
    run: NightRunner | None = None,
) -> Report | None:
    """Run tonight's training if it is due and was not done yet; return its report, else None.

    `now` (aware) replaces the clock. `run` does the work, by default `run_night` in this process;
    `trainer.night.night_process.run_in_child` uses a separate process with low priority. The night is
    postponed, without a row, in quiet hours, on battery and while a training that the user started is
    in progress.

    Raises:
        CutOffError: the training was interrupted; a later call tries it again.
        DiscernError: it failed, which closes the row; or the journal cannot be used.
    """
    home, settings = request.home, request.settings
    if not settings.night.enabled:
        return None
    home.prepare()
    clock = now or datetime.now().astimezone()
    day = night_of(settings, clock)
    with try_lock(home.state / "night.lock") as free:
        if not free:
            return None
        with Journal(home.journal) as journal:
            nights = {night.day: night for night in journal.nights.latest(8)}
            tonight = nights.get(day.isoformat())
            if tonight is not None and tonight.state not in ("running", "waiting"):
                return None
            if _already_ahead(nights, day) or _is_postponed(home, settings, clock):
                return None
            moment = due_moment(settings, clock)
            attempt = _NightAttempt(request, journal, day, moment, run or run_night)
            return attempt.run(on_event, cancel or Cancellation(), tonight)


def _already_ahead(nights: Mapping[str, Night], day: date) -> bool:
    """Return whether a later night was done already, because the clock or time zone went back.

    Only the next two days count, so a clock that was once set years ahead does not block nights.
    """
    return any((day + timedelta(days=ahead)).isoformat() in nights for ahead in (1, 2))


def _is_postponed(home: Home, settings: Settings, clock: datetime) -> bool:
    if is_quiet(settings, clock) or (not settings.night.on_battery and on_battery()):
        return True
    with try_lock(home.state / "training.lock") as free:
        return not free  # the user is training now; the night runs afterwards


class _NightAttempt:
    """One attempt at the night of `day`, which was due at `moment`."""

    def __init__(
        self,
        request: RunRequest,
        journal: Journal,
        day: date,
        moment: datetime,
        run: NightRunner,
    ) -> None:
        self._work, self._request = run, request
        self.home, self.settings, self.journal = request.home, request.settings, journal
        self.day, self.moment = day.isoformat(), moment
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"

    def run(
        self,
        on_event: OnEvent,
        cancel: Cancellation,
        before: Night | None,
    ) -> Report | None:
        """Claim the night and train; `before` is its record until now."""
        here = before is None or before.host == socket.gethostname()
        stale = _AT_ONCE if here else STALE_SECONDS
        attempt = self.journal.nights.claim(
            self.day, self.owner, stale_after=stale, attempts=ATTEMPTS
        )
        if not attempt:
            return self._report_given_up()
        fresh = _count_new(self.home, self.journal.differences.all(), self.moment)
        if fresh < self.settings.night.minimum:
            self._close_idle(
                Sentence(
                    "too few new differences: {fresh} (night.minimum is {minimum})",
                    fresh=fresh,
                    minimum=self.settings.night.minimum,
                ),
                before,
            )
            return None
        try:
            with self._heartbeat(cancel), self._time_limit(cancel) as overdue:
                report = self._train(on_event, cancel)
        except NothingToTrainError as error:
            self._close_idle(error.sentence, before)
            return None
        except TrainingBusyError as error:  # the user's began just before: this night runs after it
            self._end("waiting", error.sentence)
            return None
        except DiscernError as error:
            self._failed(error, attempt, cancel, overdue=overdue.is_set())
            raise
        self._end(report.verdict, report.sentence)
        return report

    def _train(self, on_event: OnEvent, cancel: Cancellation) -> Report:
        return self._work(self._request, on_event=on_event, cancel=cancel)

    def _failed(
        self, error: DiscernError, attempt: int, cancel: Cancellation, *, overdue: bool
    ) -> None:
        """Close the row of a failed attempt, or leave it open for another one."""
        if overdue:
            cancel.clear()
            said = Sentence(
                "the nightly training took longer than {minutes:g} minutes (night.max_minutes)",
                minutes=self.settings.night.max_minutes,
            )
            self._end("failed", said)
            raise TrainingError(
                "{said} and was stopped; the current adapter is unchanged", said=said
            ) from error
        if cancel.is_set():
            suspended = cancel.suspended
            self._end("waiting" if suspended else "stopped", error.sentence)
        elif not isinstance(error, CutOffError):
            self._end("failed", error.sentence)
        elif attempt >= ATTEMPTS:
            self._end(
                "failed",
                Sentence(
                    "stopped retrying after {attempts} attempts; last error: {error}",
                    attempts=ATTEMPTS,
                    error=error,
                ),
            )

    def _report_given_up(self) -> Report | None:
        """Report a night that was interrupted too often; None if another process has it."""
        nights = {night.day: night for night in self.journal.nights.latest(8)}
        tonight = nights.get(self.day)
        if tonight is None or tonight.state != "failed":
            return None
        report = Report(
            verdict="failed",
            sentence=Sentence(
                "Nightly training of {day}: {outcome}. The marks are kept for the next night.",
                day=self.day,
                outcome=tonight.outcome or NOTHING,
            ),
            started=tonight.started,
            seconds=0.0,
            model="",
        )
        run = Run(make_run_folder(self.home), lambda event: None, Cancellation())
        return run.close(report)

    def _close_idle(self, why: Sentence, before: Night | None) -> None:
        """Close the row of a night that has nothing to do.

        If the previous attempt was interrupted after publishing, the differences of its adapter are
        still marked as waiting; they are updated, and the row ends as published.
        """
        adapter = serving(self.home)
        if adapter is not None:
            known = adapter.manifest.fingerprints
            settled = {
                item.id: State.TRAINED
                for item in self.journal.differences.all()
                if item.state is State.WAITING and known.get(item.id) == item.fingerprint
            }
            self.journal.differences.set_states(settled)
            if before is not None and adapter.manifest.created >= before.started:
                count = len(adapter.manifest.differences)
                self._end(
                    "published",
                    Sentence(
                        "Learned from {n} difference; the run was interrupted after publishing "
                        "the adapter.",
                        "Learned from {n} differences; the run was interrupted after publishing "
                        "the adapter.",
                        n=count,
                    ),
                )
                return
        self._end("nothing", why)

    def _end(self, state: str, outcome: Sentence) -> None:
        self.journal.nights.end(self.day, self.owner, state, outcome)
        if self.settings.night.notify and state in ("published", "rejected", "failed"):
            night_notice.notify(str(outcome))

    @contextmanager
    def _heartbeat(self, cancel: Cancellation) -> Iterator[None]:
        def beat(done: threading.Event) -> None:
            while not done.wait(BEAT_SECONDS):
                with suppress(HomeError):  # a full disk must not end the heartbeat
                    if not self.journal.nights.heartbeat(self.day, self.owner):
                        cancel.set()  # another machine has claimed the night
                        return

        with background_thread(beat, "discern-heartbeat"):
            yield

    @contextmanager
    def _time_limit(self, cancel: Cancellation) -> Iterator[threading.Event]:
        """Cancel the night after `max_minutes`; the event is set if that happened.

        A night plans to stay within that time (`trainer/night/budget/`); this ends one that hangs.
        """
        overdue = threading.Event()

        def end() -> None:
            overdue.set()
            cancel.set()

        timer = threading.Timer(self.settings.night.max_minutes * 60, end)
        timer.daemon = True
        timer.start()
        try:
            yield overdue
        finally:
            timer.cancel()


def _count_new(home: Home, differences: Sequence[Difference], moment: datetime) -> int:
    """Count the changes since the current adapter was trained.

    These are differences that were waiting at `moment`, and trained ones that were forgotten since.
    """
    waiting = sum(
        difference.teaches and difference.state is State.WAITING and difference.at <= moment
        for difference in differences
    )
    return waiting + len(forgotten(home, differences))
