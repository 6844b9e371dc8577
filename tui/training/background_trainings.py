"""Background trainings of a chat: /train, scheduled nights, and runs of other processes.

Each posts `TrainingStarted`, then `TrainingEvent` for every event, then `TrainingEnded`, from its own
thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from textual.message import Message

from memory.errors import DiscernError, TrainingError
from memory.settings.paths import Home
from memory.settings.settings import Settings
from trainer.events import Event, Started
from trainer.night.request import Cancellation

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.report.report import Report


class TrainingStarted(Message):
    """A training started; `source` is "train", "night" or "other" (another process)."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source


class TrainingEvent(Message):
    """A training reported an event."""

    def __init__(self, source: str, event: Event) -> None:
        super().__init__()
        self.source = source
        self.event = event


class TrainingEnded(Message):
    """A training ended, with a report or an error."""

    def __init__(self, source: str, report: Report | None, error: Exception | None) -> None:
        super().__init__()
        self.source = source
        self.report = report
        self.error = error


class BackgroundTrainings:
    """Starts, follows and ends the trainings of one chat."""

    def __init__(self, home: Home, settings: Settings, post: Callable[[Message], object]) -> None:
        self._home = home
        self._settings = settings
        self._post = post
        self._cancel = Cancellation()
        self._nights_cancel: Cancellation | None = None
        self._thread: threading.Thread | None = None
        self._scheduler: Any = None
        self._night_running = False
        self._last_night_error = ""
        self._closed = threading.Event()
        self._followed: Path | None = None
        self._follower: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether a training is in progress."""
        threads = (self._thread, self._follower)
        return self._night_running or any(thread and thread.is_alive() for thread in threads)

    def begin(self, model_path: Path, *, force: bool = False) -> None:
        """Train now, in the background."""
        self._cancel = Cancellation()
        self._thread = threading.Thread(
            target=self._train, args=(model_path, force), name="discern-training", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ask the training to stop and test its best state; one that has none yet is aborted."""
        from trainer.night.run import request_end

        try:
            request_end(self._home, "stop")
        except DiscernError:
            self.abort()

    def abort(self) -> None:
        """Ask the training to end and keep nothing."""
        self._cancel.set()
        if self._night_running and self._nights_cancel is not None:
            self._nights_cancel.set()
        if self._follower is not None and self._follower.is_alive():
            from trainer.night.run import request_end

            with suppress(DiscernError):
                request_end(self._home, "abort")

    def attach(self) -> None:
        """Follow a run of another process, such as a chat that was closed; cheap if there is none."""
        from trainer.night.run import find_active_run

        if self.running or (folder := find_active_run(self._home)) in (None, self._followed):
            return
        self._followed = folder
        self._follower = threading.Thread(
            target=self._follow, args=(folder,), name="discern-follow", daemon=True
        )
        self._follower.start()

    def watch_nights(self, model_path: Path) -> None:
        """Start the scheduler that trains at night while the chat is open."""
        if self._settings.night.enabled and self._scheduler is None:
            from trainer.night.night_scheduler import NightListeners, background
            from trainer.night.request import RunRequest

            self._nights_cancel = Cancellation()
            self._scheduler = background(
                RunRequest(self._home, self._settings, model_path),
                NightListeners(
                    on_event=self._night_event,
                    on_report=lambda report: self._night_ended(report, None),
                    on_error=lambda error: self._night_ended(None, error),
                ),
                cancel=self._nights_cancel,
            )
            self._scheduler.add_listener(self._tick_ended)

    def close(self) -> None:
        """End all trainings of this chat and wait up to ten seconds for them."""
        self._closed.set()
        self._cancel.set()
        if self._nights_cancel is not None:
            self._nights_cancel.suspend()  # the next chat continues it
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None
        if self._thread is not None:
            self._thread.join(10)

    def _train(self, model_path: Path, force: bool) -> None:
        report: Report | None = None
        failure: Exception | None = None
        try:
            from trainer.night.night_process import run_in_child
            from trainer.night.request import RunRequest

            self._post(TrainingStarted("train"))
            report = run_in_child(
                RunRequest(self._home, self._settings, model_path, force=force),
                on_event=lambda event: self._tell("train", event),
                cancel=self._cancel,
            )
        except Exception as error:
            failure = error
        self._post(TrainingEnded("train", report, failure))

    def _follow(self, folder: Path) -> None:
        from trainer.night.run import follow
        from trainer.report.report import read_report

        begun = False
        for logged in follow(folder, leave=self._closed):
            match logged.event:
                case Started(pid=pid, asked_by=asked_by) if os.getpid() in (pid, asked_by):
                    return  # started by this chat, which shows it already
            if not begun:
                begun = True
                self._post(TrainingStarted("other"))
            self._tell("other", logged.event)
        if not self._closed.is_set():
            report = read_report(folder)
            cut = TrainingError("the training in another process was interrupted")
            self._post(TrainingEnded("other", report, None if report else cut))

    def _tell(self, source: str, event: Event) -> None:
        self._post(TrainingEvent(source, event))

    def _night_event(self, event: Event) -> None:
        if not self._night_running:
            self._night_running = True
            self._post(TrainingStarted("night"))
        self._tell("night", event)

    def _tick_ended(self, event: Any) -> None:
        """End the night if its tick failed unexpectedly, so that the panel does not stay open."""
        if self._night_running and (broke := getattr(event, "exception", None)):
            self._night_ended(None, broke)

    def _night_ended(self, report: Report | None, error: Exception | None) -> None:
        self._night_running = False
        if self._nights_cancel is not None:
            self._nights_cancel.clear()
        said = "" if error is None else str(error)
        if said and said == self._last_night_error:
            return  # the next tick failed in the same way
        self._last_night_error = said
        self._post(TrainingEnded("night", report, error))
