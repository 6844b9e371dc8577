"""Downloading a model file in background threads.

The threads are not joined, so that the page can be left on a slow connection. Only one file is
downloaded at a time, because a stopping download and the next one could write the same partial file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from memory.errors import DiscernError, ModelError
from memory.settings.paths import Home

if TYPE_CHECKING:
    from agent.models.pull import Offer

_LOCK = threading.Lock()
PROGRESS_SECONDS = 0.2
"""Seconds between two progress messages."""


class Looked(Message):
    """The file that the hub offers, or an error."""

    def __init__(self, fetching: Fetching, offer: Offer | None, error: DiscernError | None) -> None:
        super().__init__()
        self.fetching, self.offer, self.error = fetching, offer, error


class Advanced(Message):
    """Progress in bytes, and the speed in bytes per second."""

    def __init__(self, fetching: Fetching, done: int, total: int, speed: float) -> None:
        super().__init__()
        self.fetching, self.done, self.total, self.speed = fetching, done, total, speed


class Fetched(Message):
    """The file is complete, or an error."""

    def __init__(self, fetching: Fetching, path: Path | None, error: DiscernError | None) -> None:
        super().__init__()
        self.fetching, self.path, self.error = fetching, path, error


class Fetching:
    """Downloads a file of the hub and posts messages about it."""

    def __init__(
        self, home: Home, source: tuple[str, str], post: Callable[[Message], object]
    ) -> None:
        self._home, self._source, self._post = home, source, post
        self._stopped = threading.Event()
        self._began = 0.0
        self._first = -1
        self._said = 0.0

    def look(self) -> None:
        """Ask the hub about the file; `Looked` follows."""
        self._start(self._look)

    def fetch(self, offer: Offer) -> None:
        """Download the file; `Advanced` follows repeatedly, then `Fetched` unless stopped."""
        self._start(lambda: self._fetch(offer))

    def stop(self) -> None:
        """Stop; the partial file is kept, and no more messages are posted."""
        self._stopped.set()

    def _start(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="discern-fetch", daemon=True).start()

    def _look(self) -> None:
        from agent.models.pull import look

        try:
            offer = look(self._home.prepare(), *self._source)
        except Exception as error:
            self._post_unless_stopped(Looked(self, None, _as_discern_error(error)))
        else:
            self._post_unless_stopped(Looked(self, offer, None))

    def _fetch(self, offer: Offer) -> None:
        from agent.models.pull import PullStopped, pull

        with _LOCK:
            if self._stopped.is_set():
                return
            self._began = time.monotonic()
            try:
                path = pull(offer, self._on_progress)
            except PullStopped:
                return
            except Exception as error:
                self._post_unless_stopped(Fetched(self, None, _as_discern_error(error)))
            else:
                self._post_unless_stopped(Fetched(self, path, None))

    def _on_progress(self, done: int, total: int) -> None:
        from agent.models.pull import PullStopped

        if self._stopped.is_set():
            raise PullStopped
        now = time.monotonic()
        if self._first < 0:
            self._first = done
        if now - self._said >= PROGRESS_SECONDS or done >= total:
            self._said = now
            speed = (done - self._first) / max(1e-3, now - self._began)
            self._post_unless_stopped(Advanced(self, done, total, speed))

    def _post_unless_stopped(self, message: Message) -> None:
        if not self._stopped.is_set():
            self._post(message)


def _as_discern_error(error: Exception) -> DiscernError:
    """Wrap an unexpected error, because errors raised in a thread are not shown."""
    if isinstance(error, DiscernError):
        return error
    return ModelError(
        "the download failed ({name}: {error}); try again", name=type(error).__name__, error=error
    )
