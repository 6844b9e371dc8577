"""Follow the training runs of a home, in any process, by the files in their folders.

A thread follows the run in progress, or reads the latest one if there is none; the screen reads `view`
when it draws. The training process is not involved, so any number of screens may follow it.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from memory.errors import DiscernError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from trainer.night.run import EVENTS, find_active_run, follow
from trainer.report.report import folders
from tui.training.state import TrainingView, read_state

POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class LessonText:
    """Text of the difference that a lesson teaches."""

    asked: str
    sounds: str
    kind: str | None


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as the screen shows it; `folder` is None if there has been no run."""

    folder: Path | None = None
    state: TrainingView = field(default_factory=TrainingView)
    alive: bool = False
    texts: tuple[tuple[str, LessonText], ...] = ()
    """Pairs of a difference's id and its text."""

    @property
    def began(self) -> datetime | None:
        """Start of the run; if its events lack it, from the folder's name, to the second."""
        if self.state.began is not None or self.folder is None:
            return self.state.began
        try:
            return datetime.strptime(self.folder.name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return None

    def elapsed(self, now: datetime) -> float:
        """Return the seconds since the run began, up to its end."""
        if not self.alive or self.began is None:
            return self.state.at
        return max(self.state.at, (now - self.began).total_seconds())


class RunFollower:
    """Follows the runs of a home in its own thread."""

    def __init__(self, home: Home, journal: Journal) -> None:
        self._home, self._journal = home, journal
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="discern-watch", daemon=True)
        self._read: object = None
        """The run that was read last, and the size of its events file at that time."""
        self.view = RunView()
        self.ready = threading.Event()
        """Set once it is known whether there is a run."""

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread; it no longer uses the journal."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        while not self._closed.is_set():
            folder = find_active_run(self._home)
            alive = folder is not None
            folder = folder or self._last()
            if folder is not None and (alive or self._stamp(folder) != self._read):
                self._read = self._stamp(folder)
                self._show(folder, alive=alive)
            self.ready.set()
            self._closed.wait(POLL_SECONDS)

    def _last(self) -> Path | None:
        """Return the newest run that has events."""
        every = folders(self._home.runs)
        return next((folder for folder in every if (folder / EVENTS).exists()), None)

    @staticmethod
    def _stamp(folder: Path) -> tuple[Path, int]:
        with suppress(OSError):
            return folder, (folder / EVENTS).stat().st_size
        return folder, 0

    def _show(self, folder: Path, *, alive: bool) -> None:
        """Show a run: its final state, or if it is alive every state until it ends."""
        if not alive:
            state = read_state(folder)
            self.view = RunView(folder, state, texts=self._texts(state))
            return
        view = RunView(folder, alive=True)
        for logged in follow(folder, leave=self._closed):
            before, state = view.state, view.state.after(logged)
            view = replace(view, state=state)
            if state.lessons != before.lessons:
                view = replace(view, texts=self._texts(state))
            self.view = view
            self.ready.set()
        if not self._closed.is_set():
            self.view = replace(view, alive=False)

    def _texts(self, state: TrainingView) -> tuple[tuple[str, LessonText], ...]:
        """Look up the text of the lessons; forgotten differences are missing."""
        wanted = {lesson.difference for lesson in state.lessons}
        try:
            found = self._journal.differences.all() if wanted else []
        except DiscernError:
            return ()
        return tuple(
            (item.id, LessonText(item.asked, item.contrast.sounds or item.replied, item.kind))
            for item in found
            if item.id in wanted
        )
