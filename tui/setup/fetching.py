"""Fetching a model file beside a screen: asking what it is, then fetching it, in threads of their own.

Threads that nobody waits for: who leaves need not wait for a slow line. One file is fetched at a time,
so that a download that is being stopped and the next one never write the same unfinished file.
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
"""Seconds between two words on how far it is."""


class Looked(Message):
    """What the hub offers, or why it offers nothing."""

    def __init__(self, fetching: Fetching, offer: Offer | None, error: DiscernError | None) -> None:
        super().__init__()
        self.fetching, self.offer, self.error = fetching, offer, error


class Advanced(Message):
    """So many bytes are here; `speed` in bytes a second, of this call alone."""

    def __init__(self, fetching: Fetching, done: int, total: int, speed: float) -> None:
        super().__init__()
        self.fetching, self.done, self.total, self.speed = fetching, done, total, speed


class Fetched(Message):
    """The file is here and whole, or why it is not."""

    def __init__(self, fetching: Fetching, path: Path | None, error: DiscernError | None) -> None:
        super().__init__()
        self.fetching, self.path, self.error = fetching, path, error


class Fetching:
    """One file of the hub; what happens is posted."""

    def __init__(
        self, home: Home, source: tuple[str, str], post: Callable[[Message], object]
    ) -> None:
        self._home, self._source, self._post = home, source, post
        self._stopped = threading.Event()
        self._began = 0.0
        self._first = -1
        self._said = 0.0

    def look(self) -> None:
        """Ask what it is: `Looked` follows."""
        self._start(self._look)

    def fetch(self, offer: Offer) -> None:
        """Fetch it: `Advanced` follows again and again, and `Fetched` in the end unless stopped."""
        self._start(lambda: self._fetch(offer))

    def stop(self) -> None:
        """Stop; what was fetched stays for the next time. Nothing is posted any more."""
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
    """Return the error as one with a sentence; a thread's own would end unheard."""
    if isinstance(error, DiscernError):
        return error
    return ModelError(
        "the download broke ({name}: {error}); try it again", name=type(error).__name__, error=error
    )
