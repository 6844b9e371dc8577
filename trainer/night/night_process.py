"""A whole night in a process of its own, so that the chat that asked for it stays quick and whole.

Composing and testing keep a processor as busy as training does, and llama.cpp may crash on what was
just made; here all of it stands back (`trainer/subprocesses.py`), and a crash costs an attempt of the
night. The child is told its work in one line of JSON, answers with events and at last a report or an
error, and ends when it is told to cancel, when its input closes, and with its parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from agent.child_process import die_with_parent, environment
from memory import errors
from memory.errors import CutOffError, DiscernError, TrainingError
from memory.files.bounded_read import parse_object
from memory.settings.paths import Home
from memory.settings.settings import Settings
from trainer.events import OnEvent, message_to_json, read_event
from trainer.night.request import RunRequest
from trainer.night.run import STOPPED
from trainer.report.report import Report
from trainer.subprocesses import let_others_first

LOG = "night.log"
"""In the state folder; kept of a night that broke down, for no other has anything to say there."""
CANCEL = "cancel"
PATIENCE = 15.0
"""Seconds that a cancelled night has to put its things away before it is killed."""


def run_apart(
    request: RunRequest,
    *,
    on_event: OnEvent = lambda event: None,
    cancel: threading.Event | None = None,
) -> Report:
    """Call `trainer.night.night.run_night` in a child process, with the same events, report and errors.

    A practice is not supported.

    Raises:
        CutOffError: the child was killed by a signal.
        DiscernError: what `run_night` raises.
    """
    home = request.home.prepare()
    cancel = cancel or threading.Event()
    work = {
        "home": [str(path) for path in (home.config, home.data, home.state, home.cache)],
        "settings": request.settings.model_dump(mode="json"),
        "model": str(request.model_path),
        "force": request.force,
    }
    with _child(home.state / LOG) as child, _cancelling(child, cancel):
        assert child.stdin is not None
        assert child.stdout is not None
        _tell(child.stdin, json.dumps(work))
        for line in child.stdout:
            try:
                said = parse_object(line)
            except ValueError:
                continue  # cut off in a crash
            if "event" in said:
                if (event := read_event(said["event"])) is not None:
                    on_event(event)
            elif "report" in said:
                (home.state / LOG).unlink(missing_ok=True)
                return Report.from_json(said["report"])
            elif "error" in said:
                if not said.get("broke"):
                    (home.state / LOG).unlink(missing_ok=True)
                kind = getattr(errors, str(said["error"]), TrainingError)
                raise kind(said["sentence"])
        code = child.wait()
    if cancel.is_set():
        raise TrainingError(STOPPED)
    log = home.state / LOG
    if code < 0:
        raise CutOffError(
            "the night's process was killed from outside (signal {code}), which a lack of "
            "memory can bring about; `discern doctor` tells whether training fits, see also "
            "{log}",
            code=-code,
            log=log,
        )
    raise TrainingError(
        "the night's process ended without a result (exit code {code}); see {log}, `discern "
        "doctor` tells whether training fits into memory",
        code=code,
        log=log,
    )


@contextmanager
def _child(log: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the child; it is gone when the block ends."""
    try:
        with log.open("wb") as errors_to:
            child = subprocess.Popen(
                [sys.executable, "-m", "trainer.night.night_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors_to,
                env=environment(),
                text=True,
                encoding="utf-8",
            )
    except OSError as error:
        raise errors.HomeError(
            "cannot start a night beside {log}: {strerror}; mend the cause and train again",
            log=log,
            strerror=error.strerror,
        ) from error
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


@contextmanager
def _cancelling(child: subprocess.Popen[str], cancel: threading.Event) -> Iterator[None]:
    """Pass the wish to end on; who does not heed it is killed."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            if cancel.is_set():
                assert child.stdin is not None
                _tell(child.stdin, CANCEL)
                if not done.wait(PATIENCE):
                    child.kill()
                return

    thread = threading.Thread(target=watch, name="discern-cancel", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _tell(pipe: IO[str], line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # it is gone; reading tells why
        pipe.write(f"{line}\n")
        pipe.flush()


def main() -> None:
    """Run one night in the child, as the first line of standard input says."""
    # What libraries print must not come between the lines that the parent reads.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Unbuffered: a thread that waits in a buffered read would hold its lock when we end.
    orders = os.fdopen(0, "rb", buffering=0, closefd=False)
    try:
        work = parse_object(orders.readline())
    except ValueError:
        return  # the parent is gone already
    cancel = threading.Event()

    def heed() -> None:
        for line in orders:
            if line.strip() == CANCEL.encode():
                break
        cancel.set()  # also when the parent is gone

    threading.Thread(target=heed, name="discern-heed", daemon=True).start()
    # A key pressed at the terminal is the parent's to hear; a service's end is heard by both.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: cancel.set())

    def say(**values: Any) -> None:
        out.write(json.dumps(values) + "\n")
        out.flush()

    from trainer.night.night import run_night

    try:
        request = RunRequest(
            Home(*(Path(path) for path in work["home"])),
            Settings.model_validate(work["settings"]),
            Path(work["model"]),
            force=work["force"],
        )
        report = run_night(
            request, on_event=lambda event: say(event=message_to_json(event)), cancel=cancel
        )
        say(report=report.to_json())
    except DiscernError as error:
        say(error=type(error).__name__, sentence=str(error))
    except Exception as error:
        traceback.print_exc()
        say(
            broke=True,
            error="TrainingError",
            sentence=f"the night broke down ({type(error).__name__}: {error}); the log of it is "
            f"{LOG} beside the runs, what served before serves on",
        )


if __name__ == "__main__":
    die_with_parent()
    let_others_first()
    main()
