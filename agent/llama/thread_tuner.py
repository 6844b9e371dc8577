"""Choose llama.cpp's number of threads by timing, while tokens are generated.

llama.cpp's threads wait for each other after every operation, some hundreds of times a token. If
another process takes a processor from one of them, all wait, and two threads on two busy processors can
be thirty times slower than one. So when a step takes longer than usual, the next ones are tried with
half as many threads, and later again with more, at growing intervals.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SLOWER = 1.5
"""Fewer threads are tried when steps take this many times as long as the fastest ones."""
FASTER = 0.95
"""Another number of threads is kept if its steps take at most this share of the time."""
HOPELESS = 2.0
"""A trial ends at its first step if that takes this many times as long."""
COMPARED_STEPS = 2
"""Steps that are compared; the faster one counts."""
WAIT, LONGEST_WAIT = 2.0, 60.0
"""Seconds to the next trial, doubled after each unsuccessful one, and their maximum."""


class ThreadTuner:
    """The number of threads to use next, `count`, between 1 and `most`."""

    def __init__(
        self, most: int, start: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with `start` threads (0: with `most`)."""
        self.count = start or most
        self._most = most
        self._clock = clock
        self._wait = WAIT
        self._again = clock()
        self._best: dict[int, float] = {}
        self._recent: list[float] = []
        self._before: tuple[int, float] | None = None
        """During a trial, the number of threads before it and what a step took."""

    def record(self, seconds: float) -> None:
        """Note how long a step with `count` threads took; steps must be of equal work."""
        if self._most == 1:
            return
        self._recent.append(seconds)
        if self._before is not None:
            self._judge(*self._before)
        elif len(self._recent) >= COMPARED_STEPS:
            took = min(self._recent[-COMPARED_STEPS:])
            self._recent = self._recent[-COMPARED_STEPS:]
            self._consider(took)

    def _consider(self, took: float) -> None:
        """Begin a trial if it is time for one."""
        best = self._best.get(self.count)
        self._best[self.count] = min(took, best or took)
        if best is not None and self._clock() < self._again:
            return
        if self.count > 1 and (best is None or took > SLOWER * best):
            self._try(self.count // 2, took)
        elif self.count < self._most:
            self._try(min(self._most, self.count * 2), took)

    def _try(self, count: int, took: float) -> None:
        self._before = (self.count, took)
        self.count = count
        self._recent = []

    def _judge(self, count: int, took: float) -> None:
        """Keep the threads of the trial or return to `count`, which took `took` seconds a step."""
        tried = min(self._recent)
        if len(self._recent) < COMPARED_STEPS and tried < HOPELESS * took:
            return
        self._recent = []
        if 1 < self.count < count and FASTER * took < tried < SLOWER * took:
            self.count //= 2  # if half as many are no slower, a quarter may be faster
            return
        self._before = None
        if tried <= FASTER * took:
            self._wait = WAIT
            if self.count < count:
                self._best.pop(self.count, None)  # still fewer may be still faster
        else:
            self.count = count
            self._wait = min(2 * self._wait, LONGEST_WAIT)
        self._again = self._clock() + self._wait
