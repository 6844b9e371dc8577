"""One training run's folder, clock, events and lock.

A run has a folder of its own (`Home.runs`) with `events.jsonl` and `report.json`, which outlive it.
One run at a time in a home: a lock file that the kernel frees when its holder dies.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from memory.difference import now
from memory.errors import HomeError, TrainingError
from memory.home import Home
from trainer.report import Point, Report

OnEvent = Callable[[dict[str, Any]], None]
KEPT_RUNS = 30


@dataclass
class Run:
    """One run's folder, clock and ears."""

    folder: Path
    on_event: OnEvent
    cancel: threading.Event
    began: float = field(default_factory=time.perf_counter)
    started: datetime = field(default_factory=now)
    phases: dict[str, float] = field(default_factory=dict)
    curve: list[Point] = field(default_factory=list)
    _phase: str = ""
    _since: float = field(default_factory=time.perf_counter)
    _events: IO[str] | None = None

    def tell(self, phase: str, **values: Any) -> None:
        """Pass an event on, write it down, and count the time of its phase.

        Raises:
            TrainingError: the run was cancelled.
        """
        moment = time.perf_counter()
        if phase != self._phase:
            if self._phase:
                self.phases[self._phase] = self.phases.get(self._phase, 0.0) + moment - self._since
            self._phase, self._since = phase, moment
        event = {"phase": phase, **values}
        if self._events is None:
            self._events = (self.folder / "events.jsonl").open("a", encoding="utf-8")
        self._events.write(json.dumps({"at": round(moment - self.began, 3), **event}) + "\n")
        self._events.flush()
        self.on_event(event)
        if self.cancel.is_set() and phase != "report":
            raise TrainingError(
                "the training was stopped; nothing was published and what served before serves on"
            )

    def counting(self, phase: str) -> Callable[[int, int], None]:
        """Return a listener that reports (done, total) under `phase`."""
        return lambda done, total: self.tell(phase, done=done, total=total)

    def close(self, report: Report) -> Report:
        """Write the report and return it."""
        self.tell(
            "report", verdict=report.verdict, sentence=report.sentence, adapter=report.adapter
        )
        text = json.dumps(report.to_json(), ensure_ascii=False, indent=1)
        (self.folder / "report.json").write_text(text, encoding="utf-8")
        self.free()
        return report

    def free(self) -> None:
        """Close the file of events."""
        if self._events is not None:
            self._events.close()
            self._events = None


def run_folder(home: Home) -> Path:
    """Make and return the folder of a new run, named by the time in UTC."""
    stamp = now().strftime("%Y%m%dT%H%M%S")
    folder = home.runs / stamp
    try:
        home.runs.mkdir(parents=True, exist_ok=True)
        for number in range(2, 100):
            try:
                folder.mkdir()
                break
            except FileExistsError:
                folder = home.runs / f"{stamp}-{number}"
    except OSError as error:
        raise HomeError(f"cannot make {folder}: {error.strerror}; check its permissions") from error
    return folder


def prune_runs(home: Home) -> None:
    """Keep the latest runs, and of those but the last no weights."""
    runs = sorted(entry for entry in home.runs.iterdir() if entry.is_dir())
    for old in runs[:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)
    for run in runs[-KEPT_RUNS:-1]:
        for left in run.glob("try-*"):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Hold the lock of this home's training."""
    import fcntl

    path = home.state / "training.lock"
    try:
        lock = path.open("a+")
    except OSError as error:
        raise HomeError(f"cannot write {path}: {error.strerror}; check its permissions") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise TrainingError(
                f"a training is already going on (process {lock.read().strip() or 'unknown'}); "
                "wait for it to end"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
