"""The current adapter, for other programs: read it, be notified of changes, apply it to an engine.

Only the pointer in the adapters folder is watched. It is replaced by one rename, so it is read whole or
not at all. Nothing is written here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from agent.adapters import Adapter, read_adapter, read_pointer
from agent.llama.engine import Engine
from agent.models.current_adapter import CurrentAdapter
from memory.errors import AdapterError
from memory.settings.paths import Home

CHECK_SECONDS = 1.0


def current(home: Home) -> Adapter | None:
    """Return the current adapter; None for the base alone.

    Raises:
        AdapterError: the pointer or the adapter's manifest is damaged.
    """
    identity = read_pointer(home.adapters).current
    return read_adapter(home.adapters, identity) if identity else None


class Watch:
    """A thread that waits for a change, until `stop` is called or its `with` block is left."""

    def __init__(
        self, home: Home, callback: Callable[[Adapter | None], object], seconds: float
    ) -> None:
        self._home, self._callback, self._seconds = home, callback, seconds
        self._stopped = threading.Event()
        self._known = _identity(home)
        self._thread = threading.Thread(target=self._watch, name="discern-adapters", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopped.wait(self._seconds):
            found = _identity(self._home)
            if found == self._known:
                continue
            try:
                adapter = current(self._home)
            except AdapterError:
                continue  # damaged: the adapter in use stays
            self._known = found
            self._callback(adapter)

    def stop(self) -> None:
        """Stop watching; wait for a callback that is running."""
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()


def on_change(
    home: Home, callback: Callable[[Adapter | None], object], *, seconds: float = CHECK_SECONDS
) -> Watch:
    """Call `callback` with the current adapter (None: the base alone) each time it changes.

    The callback runs in a thread of its own, which looks every `seconds`. Changes by other processes,
    such as the night or `discern adapters rollback`, are noticed too.
    """
    return Watch(home, callback, seconds)


def use_current(engine: Engine, home: Home) -> Adapter | None:
    """Apply the current adapter to `engine` and return it; None for the base alone.

    Call it between replies. When nothing changed it only reads two small files. An adapter that was
    tested to answer only related messages (`Manifest.scoped`) answers all of them this way;
    `Companion.use_current` routes them.

    Raises:
        AdapterError: damaged, or made for another base; the adapter in use stays.
    """
    return CurrentAdapter(engine, home).apply()


wear_current = use_current
"""Another name of `use_current`, for programs that were written with it."""


def _identity(home: Home) -> str | None:
    try:
        return read_pointer(home.adapters).current
    except AdapterError:
        return None
