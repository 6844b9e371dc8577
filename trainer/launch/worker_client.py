"""The parent's side of the training process: start it early, give it jobs, kill it at the end.

The process needs some seconds for imports, so it is started before the lessons are composed. It is
killed when the block ends, when `cancel` is set, and when its parent dies (`trainer/subprocesses.py`).
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from agent.child_process import environment
from memory.errors import CutOffError, TrainingError
from memory.files.bounded_read import parse_object
from memory.sentence import Sentence
from trainer.event_json import read_message
from trainer.events import Aborted, Event, Failed, Ready, ResultPiece, Trained

ERRORS = "training.log"
STOPPED = Sentence(
    "the training was stopped; nothing was published and the current adapter is unchanged"
)


class TrainingWorker:
    """A `python -m trainer.fit --serve` process; use it as a context manager."""

    def __init__(
        self, folder: Path, cancel: threading.Event | None = None, *, processor: bool = False
    ) -> None:
        """Start the process; its standard error goes to `folder`/training.log.

        With `processor`, the process sees no GPU.
        """
        self._log = folder / ERRORS
        self._cancel = cancel or threading.Event()
        self._done = threading.Event()
        with self._log.open("wb") as errors:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "trainer.fit", "--serve"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**environment(), **({"CUDA_VISIBLE_DEVICES": ""} if processor else {})},
                text=True,
                encoding="utf-8",
            )
        self._watch = threading.Thread(target=self._kill_on_cancel, daemon=True)
        self._watch.start()

    def _kill_on_cancel(self) -> None:
        while not self._done.wait(0.1):
            if self._cancel.is_set():
                self._child.kill()
                return

    def fit(self, folder: Path) -> Iterator[Event]:
        """Run the job in `folder`; yield its events, the last of which is `Trained`.

        Raises:
            CutOffError: the child was killed by a signal.
            TrainingError: the child failed or died.
        """
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(OSError):  # it has died; its output says why
            child.stdin.write(f"{folder}\n")
            child.stdin.flush()
        for message in read_messages(child.stdout, self._log):
            match message:
                case Aborted():
                    raise TrainingError(STOPPED)
                case Ready() | ResultPiece():
                    continue
                case Trained():
                    yield message
                    return
            yield message
        if self._cancel.is_set():
            raise TrainingError(STOPPED)
        code = child.wait()
        if code < 0:
            raise CutOffError(
                "the training process was killed (signal {code}), possibly because memory ran "
                "out; run `discern doctor` to check whether training fits in memory",
                code=-code,
            )
        raise TrainingError(
            "the training process ended without a result (exit code {code}); see {log}, and run "
            "`discern doctor` to check whether training fits in memory",
            code=code,
            log=self._log,
        )

    def close(self) -> None:
        """Kill the process; calling it again does nothing."""
        self._done.set()
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # unsent data to a dead process
                    pipe.close()
        self._watch.join()

    def __enter__(self) -> TrainingWorker:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def read_messages(
    lines: Iterable[str], log: Path
) -> Iterator[Event | Ready | Aborted | ResultPiece]:
    """Yield the messages among the lines that a training process prints.

    `log` is the file with the details of a failure.

    Raises:
        TrainingError: the process reports that its job failed.
    """
    for line in lines:
        try:
            message = read_message(parse_object(line))
        except ValueError:
            continue  # printed by a library
        if isinstance(message, Failed):
            raise TrainingError(_explain(message, log))
        if message is not None:
            yield message


def _explain(failed: Failed, log: Path) -> Sentence:
    """Return what a failed job tells the user."""
    if failed.kind == "unstable":
        return Sentence(
            "the training became unstable ({reason}); lower training.learning_rates in config.toml",
            reason=failed.reason,
        )
    if failed.kind == "refused":
        return failed.reason
    if failed.kind == "memory":
        return Sentence(
            "the training ran out of memory; lower training.rank or choose a smaller model "
            "(`discern doctor` shows what fits)"
        )
    return Sentence("the training failed: {reason}; see {log}", reason=failed.reason, log=log)
