"""Run a loop in a thread for the duration of a block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def background_thread(loop: Callable[[threading.Event], None], name: str) -> Iterator[None]:
    """Run `loop` in a daemon thread while the block runs, and wait for it at the end.

    `loop` receives an event that is set when the block ends, and must then return soon.
    """
    done = threading.Event()
    thread = threading.Thread(target=loop, args=(done,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
