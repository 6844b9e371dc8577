"""Downloading a model file in background threads.

Nobody waits for these threads, so that a page can be left on a slow connection. One file is downloaded
at a time: a download that is being stopped and the next one must not write the same partial file.
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

_ONE = threading.Lock()
OFTEN = 0.2
"""Seconds between two progress messages."""


class Looked(Message):
    """What the hub offers, or an error."""

    def __init__(self, fetching: Fetching, offer: Offer | None, error: DiscernError | None) -> None:
        super().__init__()
        self.fetching, self.offer, self.error = fetching, offer, error


class Advanced(Message):
    """Progress: bytes so far, and `speed` in bytes a second in this call."""

    def __init__(self, fetching: Fetching, done: int, total: int, speed: float) -> None:
        super().__init__()
        self.fetching, self.done, self.total, self.speed = fetching, done, total, speed


class Fetched(Message):
    """The file is complete, or an error."""

    def __init__(self, fetching: Fetching, path: Path | None, error: DiscernError | None) -> None:
        super().__init__()
        self.fetching, self.path, self.error = fetching, path, error


class Fetching:
    """Downloads one file of the hub and posts what happens."""

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
        """Stop; the partial file stays for the next time, and nothing more is posted."""
        self._stopped.set()

    def _start(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="discern-fetch", daemon=True).start()

    def _look(self) -> None:
        from agent.models.pull import look

        try:
            offer = look(self._home.prepare(), *self._source)
        except Exception as error:
            self._tell(Looked(self, None, _ours(error)))
        else:
            self._tell(Looked(self, offer, None))

    def _fetch(self, offer: Offer) -> None:
        from agent.models.pull import PullStopped, pull

        with _ONE:
            if self._stopped.is_set():
                return
            self._began = time.monotonic()
            try:
                path = pull(offer, self._hear)
            except PullStopped:
                return
            except Exception as error:
                self._tell(Fetched(self, None, _ours(error)))
            else:
                self._tell(Fetched(self, path, None))

    def _hear(self, done: int, total: int) -> None:
        from agent.models.pull import PullStopped

        if self._stopped.is_set():
            raise PullStopped
        now = time.monotonic()
        if self._first < 0:
            self._first = done
        if now - self._said >= OFTEN or done >= total:
            self._said = now
            speed = (done - self._first) / max(1e-3, now - self._began)
            self._tell(Advanced(self, done, total, speed))

    def _tell(self, message: Message) -> None:
        if not self._stopped.is_set():
            self._post(message)


def _ours(error: Exception) -> DiscernError:
    """Return an unexpected error as a DiscernError; a thread's own would go unnoticed."""
    if isinstance(error, DiscernError):
        return error
    return ModelError(
        "the download failed ({name}: {error}); try again", name=type(error).__name__, error=error
    )
