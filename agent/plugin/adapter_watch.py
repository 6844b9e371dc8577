"""Which adapter serves, for anybody's program: read it, hear of a change, wear it.

The pointer in the adapters folder is the only thing looked at; it is replaced in one rename, so it is
read whole or not at all. Nothing is written here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.adapters import Adapter, base_sha256, read_adapter, read_pointer, verify
from memory.errors import AdapterError
from memory.settings.settings import Home

if TYPE_CHECKING:
    from agent.llama.engine import Engine

SECONDS = 1.0


def current(home: Home) -> Adapter | None:
    """Return the adapter that serves; None when the base serves alone.

    Raises:
        AdapterError: the pointer or the adapter's manifest is damaged.
    """
    identity = read_pointer(home.adapters).current
    return read_adapter(home.adapters, identity) if identity else None


class Watch:
    """A thread that waits for a change; `stop` ends it, and so does leaving it as a context."""

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
                continue  # a damaged one serves nobody; what served before serves on
            self._known = found
            self._callback(adapter)

    def stop(self) -> None:
        """Stop watching; waits for a callback that runs."""
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()


def on_change(
    home: Home, callback: Callable[[Adapter | None], object], *, seconds: float = SECONDS
) -> Watch:
    """Call `callback` with the adapter that serves (None: the base alone) each time that changes.

    It runs in a thread of its own and looks every `seconds`; also changes by other processes, such as
    the night or `discern adapters rollback`, are heard.
    """
    return Watch(home, callback, seconds)


def wear_current(engine: Engine, home: Home) -> Adapter | None:
    """Let `engine` serve with the adapter that is current; returns it.

    Call it between replies: it costs one small read when nothing changed.

    Raises:
        AdapterError: damaged, or made for another base; what the engine wore stays in force.
    """
    worn = engine.adapter
    identity = read_pointer(home.adapters).current
    if identity is None:
        if worn:
            engine.set_adapter(None)
        return None
    adapter = read_adapter(home.adapters, identity)
    if not worn or worn != (adapter.gguf, adapter.manifest.scale):
        home.prepare()
        verify(adapter, base_sha256(engine.info.path, home.cache))
        engine.set_adapter(adapter.gguf, adapter.manifest.scale)
    return adapter


def _identity(home: Home) -> str | None:
    try:
        return read_pointer(home.adapters).current
    except AdapterError:
        return None
