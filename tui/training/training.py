"""Trainings as the chat sees them: its own, those of nights, and those of other processes.

`/train` runs in a thread, and so does the scheduler of nights; what another process trains in this
home is followed from its beginning.

Both tell the screen through one message each for a beginning, an event and an end, posted from their
threads. Stopping is asked for and then waited for by whoever leaves.
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

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.night.run import Cancellation
    from trainer.report.report import Report


class TrainingStarted(Message):
    """A training began; `source` is train or night."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source


class TrainingEvent(Message):
    """Something happened in it."""

    def __init__(self, source: str, event: Event) -> None:
        super().__init__()
        self.source = source
        self.event = event


class TrainingEnded(Message):
    """It ended, with a report or with an error that is one sentence."""

    def __init__(self, source: str, report: Report | None, error: Exception | None) -> None:
        super().__init__()
        self.source = source
        self.report = report
        self.error = error


class Training:
    """The trainings of one open chat."""

    def __init__(self, home: Home, settings: Settings, post: Callable[[Message], object]) -> None:
        self._home = home
        self._settings = settings
        self._post = post
        self._cancel = threading.Event()
        self._nights_cancel: Cancellation | None = None
        self._thread: threading.Thread | None = None
        self._scheduler: Any = None
        self._night_under_way = False
        self._night_said = ""
        self._left = threading.Event()
        self._followed: Path | None = None
        self._following: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether one is under way."""
        threads = (self._thread, self._following)
        return self._night_under_way or any(thread and thread.is_alive() for thread in threads)

    def begin(self, model_path: Path, *, force: bool = False) -> None:
        """Train now, in a thread."""
        self._cancel = threading.Event()
        self._thread = threading.Thread(
            target=self._train, args=(model_path, force), name="discern-training", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ask the training in progress to stop at its best state so far, which is tested as usual.

        Before it has one, there is nothing to keep.
        """
        from trainer.night.run import tell_run

        try:
            tell_run(self._home, "stop")
        except DiscernError:
            self.abort()

    def abort(self) -> None:
        """Ask what is under way to leave nothing."""
        self._cancel.set()
        if self._night_under_way and self._nights_cancel is not None:
            self._nights_cancel.set()
        if self._following is not None and self._following.is_alive():
            from trainer.night.run import tell_run

            with suppress(DiscernError):
                tell_run(self._home, "abort")

    def attach(self) -> None:
        """Follow a training that another process runs here; cheap if there is none.

        It may be one that this chat began before it was closed.
        """
        from trainer.night.run import going_on

        if self.running or (folder := going_on(self._home)) in (None, self._followed):
            return
        self._followed = folder
        self._following = threading.Thread(
            target=self._follow, args=(folder,), name="discern-follow", daemon=True
        )
        self._following.start()

    def watch_nights(self, model_path: Path) -> None:
        """Start the scheduler that trains at night while the chat is open."""
        if self._settings.night.enabled and self._scheduler is None:
            from trainer.night.request import RunRequest
            from trainer.night.run import Cancellation
            from trainer.night.schedule import NightListeners, background

            self._nights_cancel = Cancellation()
            self._scheduler = background(
                RunRequest(self._home, self._settings, model_path),
                NightListeners(
                    on_event=self._night_event,
                    on_report=lambda report: self._night_over(report, None),
                    on_error=lambda error: self._night_over(None, error),
                ),
                cancel=self._nights_cancel,
            )
            self._scheduler.add_listener(self._tick_over)

    def close(self) -> None:
        """Stop everything and wait for it, a while at most."""
        self._left.set()
        self._cancel.set()
        if self._nights_cancel is not None:
            self._nights_cancel.suspend()  # continues when a chat is open again
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None
        if self._thread is not None:
            self._thread.join(10)

    def _train(self, model_path: Path, force: bool) -> None:
        report: Report | None = None
        failure: Exception | None = None
        try:
            from trainer.night.night_process import run_apart
            from trainer.night.request import RunRequest

            self._post(TrainingStarted("train"))
            report = run_apart(
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
        for logged in follow(folder, leave=self._left):
            match logged.event:
                case Started(pid=pid, asked_by=asked_by) if os.getpid() in (pid, asked_by):
                    return  # started by this chat, which shows it already
            if not begun:
                begun = True
                self._post(TrainingStarted("other"))
            self._tell("other", logged.event)
        if not self._left.is_set():
            report = read_report(folder)
            cut = TrainingError("the training of another process was cut off")
            self._post(TrainingEnded("other", report, None if report else cut))

    def _tell(self, source: str, event: Event) -> None:
        self._post(TrainingEvent(source, event))

    def _night_event(self, event: Event) -> None:
        if not self._night_under_way:
            self._night_under_way = True
            self._post(TrainingStarted("night"))
        self._tell("night", event)

    def _tick_over(self, event: Any) -> None:
        """End the panel after a tick that failed unexpectedly."""
        if self._night_under_way and (broke := getattr(event, "exception", None)):
            self._night_over(None, broke)

    def _night_over(self, report: Report | None, error: Exception | None) -> None:
        self._night_under_way = False
        if self._nights_cancel is not None:
            self._nights_cancel.clear()
        said = "" if error is None else str(error)
        if said and said == self._night_said:
            return  # the next tick found the same
        self._night_said = said
        self._post(TrainingEnded("night", report, error))
