"""What trains in this home, watched from its run's folder: whoever began it, and from its beginning.

A thread follows the run in progress, or reads the last one when none is; the screen looks at `seen`
when it draws. Nothing is asked of the process that trains, so any number of screens may watch.
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
from trainer.night.run import EVENTS, follow, going_on
from trainer.report.report import folders
from tui.training.remaining_time import Past, earlier
from tui.training.state import TrainingState, read_state

LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Taught:
    """The words of a difference that a lesson comes from."""

    asked: str
    sounds: str
    kind: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as it is seen; `folder` is None while there was none at all."""

    folder: Path | None = None
    state: TrainingState = field(default_factory=TrainingState)
    alive: bool = False
    past: Past | None = None
    taught: tuple[tuple[str, Taught], ...] = ()
    """The differences by their ids."""

    @property
    def began(self) -> datetime | None:
        """When it began; the name of its folder tells it too, to the second."""
        if self.state.began is not None or self.folder is None:
            return self.state.began
        try:
            return datetime.strptime(self.folder.name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return None

    def elapsed(self, now: datetime) -> float:
        """Seconds since it began, up to its end."""
        if not self.alive or self.began is None:
            return self.state.at
        return max(self.state.at, (now - self.began).total_seconds())


class RunFollower:
    """Follows the runs of a home in a thread of its own."""

    def __init__(self, home: Home, journal: Journal) -> None:
        self._home, self._journal = home, journal
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="discern-watch", daemon=True)
        self._read: object = None
        """Which run was read last, and how far it had come by then."""
        self.seen = Seen()
        self.looked = threading.Event()
        """Set once it is known whether there is anything to see."""

    def begin(self) -> None:
        """Start looking."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking, and let go of the journal."""
        self._leave.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _watch(self) -> None:
        while not self._leave.is_set():
            folder = going_on(self._home)
            alive = folder is not None
            folder = folder or self._last()
            if folder is not None and (alive or self._stamp(folder) != self._read):
                self._read = self._stamp(folder)
                self._see(folder, alive=alive)
            self.looked.set()
            self._leave.wait(LOOK_SECONDS)

    def _last(self) -> Path | None:
        """Return the newest run that told anything."""
        every = folders(self._home.runs)
        return next((folder for folder in every if (folder / EVENTS).exists()), None)

    @staticmethod
    def _stamp(folder: Path) -> tuple[Path, int]:
        with suppress(OSError):
            return folder, (folder / EVENTS).stat().st_size
        return folder, 0

    def _see(self, folder: Path, *, alive: bool) -> None:
        """Read a run: the last one at once, one that goes on from its beginning and then as it goes."""
        if not alive:
            state = read_state(folder)
            self.seen = Seen(folder, state, taught=self._words(state))
            return
        seen = Seen(folder, alive=True)
        for logged in follow(folder, leave=self._leave):
            before, state = seen.state, seen.state.after(logged)
            seen = replace(seen, state=state)
            if state.model != before.model:
                seen = replace(seen, past=earlier(self._home.runs, state, folder))
            if state.lessons != before.lessons:
                seen = replace(seen, taught=self._words(state))
            self.seen = seen
            self.looked.set()
        if not self._leave.is_set():
            self.seen = replace(seen, alive=False)

    def _words(self, state: TrainingState) -> tuple[tuple[str, Taught], ...]:
        """Look up what the lessons were made of; what was forgotten meanwhile is not there."""
        wanted = {lesson.difference for lesson in state.lessons}
        try:
            found = self._journal.differences.all() if wanted else []
        except DiscernError:
            return ()
        return tuple(
            (item.id, Taught(item.asked, item.contrast.sounds or item.replied, item.kind))
            for item in found
            if item.id in wanted
        )
