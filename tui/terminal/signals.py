"""SIGTERM and SIGHUP end a command like Ctrl-C: resources are closed, the exit code is 128 + n.

After SIGHUP nothing is written to the terminal, which is gone. Signals that the caller ignores
(`nohup`) stay ignored. A second one during clean-up is ignored for `GRACE` seconds.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

ENDING = (signal.SIGTERM, signal.SIGHUP) if hasattr(signal, "SIGHUP") else (signal.SIGTERM,)
GRACE = 5.0
"""Seconds for which further signals are ignored."""


class Terminated(SystemExit):
    """A signal ended the process; raised in the main thread, so that resources are closed."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def __str__(self) -> str:
        return f"ended by {signal.Signals(self.number).name}"


def raise_on_signals() -> None:
    """Raise `Terminated` on SIGTERM and SIGHUP from now on."""
    first = 0.0

    def end(number: int, _frame: object) -> None:
        nonlocal first
        if time.monotonic() - first < GRACE:
            return
        first = time.monotonic()
        if number != signal.SIGTERM:
            forget_terminal()
        raise Terminated(number)

    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


@contextmanager
def on_signals(act: Callable[[int], object], *more: int) -> Iterator[None]:
    """Call `act` with the number of a signal: SIGTERM, SIGHUP and `more`; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def heard(number: int, _frame: object) -> None:
        if number not in (signal.SIGINT, signal.SIGTERM):
            forget_terminal()
        act(number)

    numbers = [n for n in (*ENDING, *more) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, heard) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def forget_terminal() -> None:
    """Redirect writes to the terminal to the null device: it is gone, and they would fail."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (1, 2):
            with suppress(OSError):
                if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                    os.dup2(nowhere, descriptor)
        os.close(nowhere)
