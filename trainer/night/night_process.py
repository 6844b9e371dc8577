"""Run a whole night in a child process, so that the chat that started it stays responsive.

Composing and testing use as much CPU as training, and llama.cpp may crash on a new adapter. The child
has low priority (`trainer/subprocesses.py`), and a crash costs one attempt at the night. It reads its
request as one line of JSON and writes events, then a report or an error. It ends when it receives a
cancel request, when its input closes, and when its parent dies.
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
from memory.sentence import Sentence, Stored, to_plain
from trainer.background_thread import background_thread
from trainer.event_json import message_to_json, read_event
from trainer.events import OnEvent
from trainer.launch.worker_client import STOPPED
from trainer.night.request import Cancellation, RunRequest
from trainer.report.report import Report
from trainer.subprocesses import lower_priority

LOG = "night.log"
"""Standard error of the child, in the state folder; kept only if the night failed unexpectedly."""
CANCEL = "cancel"
CLEANUP_SECONDS = 15.0
"""Seconds that a cancelled night has to clean up before it is killed."""


def run_in_child(
    request: RunRequest,
    *,
    on_event: OnEvent = lambda event: None,
    cancel: Cancellation | None = None,
) -> Report:
    """Run `trainer.night.night.run_night` in a child process, with the same events, report and errors.

    A practice is not supported.

    Raises:
        CutOffError: the child was killed by a signal.
        DiscernError: what `run_night` raises.
    """
    home = request.home.prepare()
    cancel = cancel or Cancellation()
    with _child(home.state / LOG) as child, _cancelling(child, cancel):
        assert child.stdin is not None
        assert child.stdout is not None
        _send(child.stdin, json.dumps(request.to_json()))
        for line in child.stdout:
            try:
                said = parse_object(line)
            except ValueError:
                continue  # truncated by a crash
            if "event" in said:
                if (event := read_event(said["event"])) is not None:
                    on_event(event)
            elif "report" in said:
                if home.holds(log := home.state / LOG):
                    log.unlink(missing_ok=True)
                return Report.from_json(said["report"])
            elif "error" in said:
                if not said.get("broke"):
                    (home.state / LOG).unlink(missing_ok=True)
                kind = getattr(errors, str(said["error"]), TrainingError)
                raise kind(Stored(said).sentence(said["sentence"]))
        code = child.wait()
    if cancel.is_set():
        raise TrainingError(STOPPED)
    log = home.state / LOG
    if code < 0:
        raise CutOffError(
            "the training process was killed (signal {code}), possibly because memory ran out; "
            "see {log}, and run `discern doctor` to check whether training fits in memory",
            code=-code,
            log=log,
        )
    raise TrainingError(
        "the training process ended without a result (exit code {code}); see {log}, and run "
        "`discern doctor` to check whether training fits in memory",
        code=code,
        log=log,
    )


@contextmanager
def _child(log: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the child; kill it when the block ends."""
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
            "cannot start the training (log {log}): {strerror}; fix the problem and train again",
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
def _cancelling(child: subprocess.Popen[str], cancel: Cancellation) -> Iterator[None]:
    """Pass `cancel` on to the child while the block runs; kill it if it does not end."""

    def watch(done: threading.Event) -> None:
        while not done.wait(0.1):
            if cancel.is_set():
                assert child.stdin is not None
                _send(child.stdin, CANCEL)
                if not done.wait(CLEANUP_SECONDS):
                    child.kill()
                return

    with background_thread(watch, "discern-cancel"):
        yield


def _send(pipe: IO[str], line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # it has ended; its output says why
        pipe.write(f"{line}\n")
        pipe.flush()


def main() -> None:
    """Run the night that the first line of standard input describes; the child's entry point."""
    # Output of libraries must not mix with the lines that the parent reads.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Unbuffered: a thread waiting in a buffered read would hold its lock at exit.
    orders = os.fdopen(0, "rb", buffering=0, closefd=False)
    try:
        work = parse_object(orders.readline())
    except ValueError:
        return  # the parent has ended
    cancel = Cancellation()

    def read_orders() -> None:
        for line in orders:
            if line.strip() == CANCEL.encode():
                break
        cancel.set()  # also if the parent has ended

    threading.Thread(target=read_orders, name="discern-orders", daemon=True).start()
    # The parent handles Ctrl-C; the signals that end a service reach both.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: cancel.set())

    def say(**values: Any) -> None:
        out.write(json.dumps(to_plain(values)) + "\n")
        out.flush()

    from trainer.night.night import run_night

    try:
        request = RunRequest.from_json(work)
        report = run_night(
            request, on_event=lambda event: say(event=message_to_json(event)), cancel=cancel
        )
        say(report=report.to_json())
    except DiscernError as error:
        say(error=type(error).__name__, sentence=error.sentence)
    except Exception as error:
        traceback.print_exc()
        say(
            broke=True,
            error="TrainingError",
            sentence=Sentence(
                "the training failed ({kind}: {error}) and the current adapter is unchanged; see "
                "{log}",
                kind=type(error).__name__,
                error=error,
                log=Path(work["home"][2], LOG),
            ),
        )


if __name__ == "__main__":
    die_with_parent()
    lower_priority()
    main()
