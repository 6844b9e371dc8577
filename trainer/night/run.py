"""One training run: its folder, events, lock, and requests to end it.

A run has a folder in `Home.runs` with `events.jsonl` and `report.json`, which stay afterwards. A home
has one run at a time; a file lock, which the kernel releases when its holder dies, ensures that. Any
process may follow a run (`follow`) or ask it to stop or abort (`request_end`, a file in its folder).
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Literal, get_args

from filelock import Timeout

from agent.forget.scrub_run_files import own_runs
from memory.difference import now
from memory.errors import FileError, HomeError, TrainingBusyError, TrainingError
from memory.files.atomic_write import write_whole
from memory.files.bounded_read import LINE, SMALL, open_file, parse_object, read_objects, read_text
from memory.files.locks import file_lock
from memory.settings.paths import Home, private_folder
from trainer.background_thread import background_thread
from trainer.event_json import logged_to_json, read_logged
from trainer.events import Counted, CountedPhase, Event, Logged, OnEvent, Reported, Started
from trainer.launch.worker_client import STOPPED
from trainer.night.request import Cancellation
from trainer.report.report import Point, Report, folders

EndRequest = Literal["stop", "abort"]
KEPT_RUNS = 30
EVENTS, CONTROL = "events.jsonl", "control"
POLL_SECONDS = 0.2


@dataclass
class Run:
    """A run in progress. `cancel` ends it without a result, `stop` keeps its best state so far.

    `guard` is called after every event and raises if the run must end.
    """

    folder: Path
    on_event: OnEvent
    cancel: Cancellation
    stop: threading.Event = field(default_factory=threading.Event)
    guard: Callable[[], None] = lambda: None
    began: float = field(default_factory=time.perf_counter)
    started: datetime = field(default_factory=now)
    phases: dict[str, float] = field(default_factory=dict)
    curve: list[Point] = field(default_factory=list)
    listeners: list[OnEvent] = field(default_factory=list)
    """More callbacks for the events, besides `on_event`."""
    _phase: str = ""
    _since: float = field(default_factory=time.perf_counter)
    _events: IO[str] | None = None

    @contextmanager
    def watching_control(self) -> Iterator[None]:
        """Act on requests to end the run while the block runs."""
        path = self.folder / CONTROL

        def watch(done: threading.Event) -> None:
            while not done.wait(POLL_SECONDS):
                try:
                    word = read_text(path, SMALL).strip()
                except (OSError, FileError):
                    continue
                if word == "abort":
                    self.cancel.set()
                elif word == "stop":
                    self.stop.set()

        with background_thread(watch, "discern-control"):
            yield

    def emit(self, event: Event) -> None:
        """Write an event to `events.jsonl`, pass it to `on_event`, and measure the time of its phase.

        Raises:
            TrainingError: the run was cancelled, or `guard` ends it; never for `Reported`.
        """
        moment, phase = time.perf_counter(), event.phase
        if phase != self._phase:
            if self._phase:
                self.phases[self._phase] = self.phases.get(self._phase, 0.0) + moment - self._since
            self._phase, self._since = phase, moment
        if self._events is None:
            self._events = (self.folder / EVENTS).open("a", encoding="utf-8")
        logged = Logged(round(moment - self.began, 3), event)
        self._events.write(json.dumps(logged_to_json(logged)) + "\n")
        self._events.flush()
        for listener in self.listeners:
            listener(event)
        self.on_event(event)
        if not isinstance(event, Reported):
            self.check()

    def check(self) -> None:
        """Raise TrainingError if the run was cancelled or its guard ends it."""
        if self.cancel.is_set():
            raise TrainingError(STOPPED)
        self.guard()

    def count_progress(self, phase: CountedPhase) -> Callable[[int, int], None]:
        """Return a callback (done, total) that reports the progress of `phase`."""
        return lambda done, total: self.emit(Counted(phase, done, total))

    def phase_seconds(self) -> tuple[tuple[str, float], ...]:
        """Return the seconds of each phase so far, including the current one."""
        here = {self._phase: time.perf_counter() - self._since} if self._phase else {}
        every = {
            name: self.phases.get(name, 0.0) + here.get(name, 0.0)
            for name in {**self.phases, **here}
        }
        return tuple((name, round(took, 2)) for name, took in every.items())

    def close(self, report: Report) -> Report:
        """Write the report atomically, emit `Reported` and return the report."""
        text = json.dumps(report.to_json(), ensure_ascii=False, indent=1)
        write_whole(self.folder / "report.json", text)
        self.emit(Reported(report.verdict, report.sentence, report.adapter))
        self.close_events()
        return report

    def close_events(self) -> None:
        """Close `events.jsonl`."""
        if self._events is not None:
            self._events.close()
            self._events = None


def make_run_folder(home: Home) -> Path:
    """Create the folder of a new run, named by the time in UTC."""
    stamp = now().strftime("%Y%m%dT%H%M%S")
    folder = home.runs / stamp
    try:
        private_folder(home.runs)
        for number in range(2, 100):
            try:
                folder.mkdir()
                break
            except FileExistsError:
                folder = home.runs / f"{stamp}-{number}"
    except OSError as error:
        raise HomeError(
            "cannot create {folder}: {strerror}; check its permissions",
            folder=folder,
            strerror=error.strerror,
        ) from error
    return folder


def follow(
    folder: Path, *, poll: float = 0.2, leave: threading.Event | None = None
) -> Iterator[Logged]:
    """Yield the events of the run in `folder`, those so far and then as they come.

    Ends after `Reported`, when the process that ran it is gone, or when `leave` is set. May be called
    from any process and for a run that ended long ago.
    """
    leave = leave or threading.Event()
    rest = b""
    offset = 0
    pid = 0
    while True:
        # If no event names the process, the run has ended once it has a report.
        gone = not _alive(pid) if pid else (folder / "report.json").exists()
        try:
            with open_file(folder / EVENTS) as file:
                file.seek(offset)
                new = file.read(LINE)
            offset += len(new)
        except FileError:
            return  # not a file that a run writes
        except OSError:
            new = b""
            gone = gone or not folder.is_dir()
        *lines, rest = (rest + new).split(b"\n")
        for line in lines:
            try:
                logged = read_logged(parse_object(line))
            except ValueError:
                continue  # truncated by a crash
            if logged is None:
                continue
            pid = _pid(logged) or pid
            yield logged
            if isinstance(logged.event, Reported):
                return
        if len(rest) > LINE or (gone and not new) or leave.wait(0 if new else poll):
            return


def find_active_run(home: Home) -> Path | None:
    """Return the folder of the run in progress; None if there is none."""
    for folder in folders(home.runs)[:3]:
        if (folder / "report.json").exists():
            continue
        with suppress(OSError, FileError):
            first = read_logged(next(read_objects(folder / EVENTS, SMALL), {}))
            if _alive(_pid(first)):
                return folder
    return None


def request_end(home: Home, request: EndRequest) -> Path:
    """Ask the run in progress to stop or abort; return its folder.

    After a stop, the best adapter so far is tested and kept.

    Raises:
        TrainingError: no run is in progress.
        HomeError: its folder cannot be written.
    """
    folder = find_active_run(home)
    if folder is None:
        raise TrainingError("no training is running; start one with `discern train`")
    try:
        write_whole(folder / CONTROL, request)
    except OSError as error:
        raise HomeError(
            "cannot write {folder}: {strerror}; check its permissions",
            folder=folder / CONTROL,
            strerror=error.strerror,
        ) from error
    return folder


def requested_end(folder: Path) -> EndRequest | None:
    """Return how the run in `folder` was asked to end, by any process; None if it was not."""
    try:
        word = read_text(folder / CONTROL, SMALL).strip()
    except (OSError, FileError):
        return None
    return next((known for known in get_args(EndRequest) if known == word), None)


def _pid(logged: Logged | None) -> int:
    """Return the process id in an event; 0 if it has none."""
    match logged:
        case Logged(event=Started(pid=pid)) if 0 < pid < 1 << 31:
            return pid
    return 0


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it belongs to another user
    return True


def prune_runs(home: Home) -> None:
    """Remove all but the latest KEPT_RUNS runs, and the weights of all but the last one."""
    runs = own_runs(home)
    for old in runs[:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)
    for run in runs[-KEPT_RUNS:-1]:
        for left in run.glob("try-*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def training_lock(home: Home) -> Iterator[None]:
    """Hold the lock of this home's training.

    Raises:
        TrainingBusyError: another process holds it.
        HomeError: the lock file cannot be written.
    """
    path = home.state / "training.lock"
    with try_lock(path) as free:
        if not free:
            raise TrainingBusyError(
                "a training is already running (process {process}); follow it with `discern train "
                "watch` or stop it with `discern train stop`",
                process=_holder(path),
            )
        path.write_text(str(os.getpid()), encoding="ascii")
        yield


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Try to lock a file without waiting; yield whether the lock was free.

    Raises:
        HomeError: the file cannot be written.
    """
    try:
        lock = file_lock(path)
        with suppress(Timeout):
            lock.acquire()
    except OSError as error:
        raise HomeError(
            "cannot write {path}: {strerror}; check its permissions",
            path=path,
            strerror=error.strerror,
        ) from error
    try:
        yield lock.is_locked
    finally:
        lock.release()


def _holder(path: Path) -> str:
    """Return the process id that the holder of a lock wrote into its file."""
    with suppress(OSError, FileError):
        return read_text(path, SMALL).strip() or "unknown"
    return "unknown"
