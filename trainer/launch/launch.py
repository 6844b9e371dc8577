"""The launchers of a training: a local child process, a command of the user, or a Ray job.

Each has a method `fit`, which takes the folder of a job, yields the events of the training, and leaves
the adapter in the folder. A result from another machine is validated first
(`trainer/launch/check_trained_files.py`), and everything after it (export, probe, gate) happens here. A
remote training is ended when the run is cancelled; if the machine cannot be reached, the training may
continue there, but its result is not used.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from agent.child_process import environment
from memory.errors import CutOffError, SettingsError, TrainingError
from memory.sentence import Sentence
from memory.settings.settings import Settings
from trainer.events import Aborted, Event, Ready, ResultPiece, Trained
from trainer.launch import check_trained_files
from trainer.launch.remote_job import Pieces, pack
from trainer.launch.worker_client import ERRORS, STOPPED, TrainingWorker, read_messages

PACKED, RESULT = "lessons.zip", "result"


class Launcher(Protocol):
    """Runs training jobs; use it as a context manager."""

    def fit(self, folder: Path) -> Iterator[Event]:
        """Run the job in `folder`; see `TrainingWorker.fit`."""

    def __enter__(self) -> Launcher: ...

    def __exit__(self, *_exc: object) -> None: ...


def launcher(
    settings: Settings, base: Path, sha256: str, folder: Path, cancel: threading.Event
) -> Launcher:
    """Return the launcher that `[trainer] launcher` names; `folder` is that of the run.

    Raises:
        SettingsError: its settings are incomplete.
    """
    chosen = settings.trainer
    if chosen.launcher == "local":
        return TrainingWorker(folder, cancel=cancel, processor=chosen.card == "processor")
    if chosen.launcher == "ray":
        return RayLauncher(chosen.address, chosen.base or str(base), sha256, folder, cancel)
    if "{job}" not in chosen.command or "{result}" not in chosen.command:
        raise SettingsError(
            "trainer.launcher is command, so trainer.command in config.toml must contain {{job}} "
            "and {{result}}, for example `cp {{job}} there && … && cp -r there {{result}}`"
        )
    return CommandLauncher(chosen.command, base, sha256, folder, cancel)


class RemoteRun:
    """Packs the jobs of trainings on another machine, reads their events, and checks their results.

    As a context manager it calls `end` when the run is cancelled, and at the end of the block.
    """

    def __init__(
        self, sha256: str, folder: Path, cancel: threading.Event, end: Callable[[], None]
    ) -> None:
        self.folder, self.cancel = folder, cancel
        self._sha256, self._end = sha256, end
        self._done = threading.Event()
        self._watch: threading.Thread | None = None

    def pack(self, folder: Path) -> Path:
        """Return the packed job in `folder`; an earlier result is deleted."""
        shutil.rmtree(folder / RESULT, ignore_errors=True)
        return pack(folder, self._sha256, folder / PACKED)

    def events(self, lines: Iterator[str], folder: Path) -> Iterator[Event]:
        """Yield the events among the printed lines."""
        pieces = Pieces(folder / RESULT)
        for message in read_messages(lines, self.folder / ERRORS):
            match message:
                case Aborted():
                    raise TrainingError("the training was aborted; nothing was published")
                case ResultPiece():
                    pieces.take(message)
                case Ready():
                    continue
                case _:
                    yield message

    def accept(self, folder: Path) -> None:
        """Validate the result and move it into the folder of the job."""
        result = folder / RESULT
        check_trained_files.check(result)
        (folder / "adapter").mkdir(exist_ok=True)
        for name in (check_trained_files.WEIGHTS, check_trained_files.CONFIG):
            shutil.copyfile(result / name, folder / "adapter" / name)
        shutil.rmtree(result)

    def _when_cancelled(self) -> None:
        while not self._done.wait(0.1):
            if self.cancel.is_set():
                self._end()
                return

    def __enter__(self) -> RemoteRun:
        self._watch = threading.Thread(target=self._when_cancelled, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._done.set()
        self._end()
        if self._watch is not None:
            self._watch.join()


class CommandLauncher:
    """Runs a shell command of the user, which sends {job} and fetches {result}."""

    def __init__(
        self, template: str, base: Path, sha256: str, folder: Path, cancel: threading.Event
    ) -> None:
        self._remote = RemoteRun(sha256, folder, cancel, self._end)
        self._template, self._base = template, base
        self._child: subprocess.Popen[str] | None = None

    def fit(self, folder: Path) -> Iterator[Event]:
        """Run the job in `folder` by the command; yield the events that it prints.

        Raises:
            CutOffError: the command was killed.
            TrainingError: it failed, or the training did.
            AdapterError: the returned adapter is not a plain LoRA.
        """
        command = self._template
        places = {
            "job": self._remote.pack(folder),
            "result": folder / RESULT,
            "base": self._base.resolve(),
        }
        for name, path in places.items():
            command = command.replace(f"{{{name}}}", shlex.quote(str(path)))
        with (self._remote.folder / ERRORS).open("ab") as errors:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "trainer.subprocesses", command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment(),
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        with self._child as child:
            assert child.stdout is not None
            trained = Trained(str(folder / "adapter"))
            try:
                for event in self._remote.events(iter(child.stdout), folder):
                    if isinstance(event, Trained):
                        trained = event
                    else:
                        yield event
            except BaseException:
                self._end()
                raise
        if self._remote.cancel.is_set():
            raise TrainingError(STOPPED)
        if child.returncode < 0:
            raise CutOffError(
                "the remote training was killed (signal {returncode}); it will be retried",
                returncode=-child.returncode,
            )
        if child.returncode > 0:
            raise TrainingError(
                "trainer.command ended with exit code {returncode}; see {folder}",
                returncode=child.returncode,
                folder=self._remote.folder / ERRORS,
            )
        self._remote.accept(folder)
        yield trained

    def _end(self) -> None:
        if self._child is not None and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signal.SIGKILL)

    def __enter__(self) -> Launcher:
        self._remote.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._remote.__exit__(*exc)


class RayLauncher:
    """Submits a Ray job with the lessons, and reads the result from its log."""

    def __init__(
        self, address: str, base: str, sha256: str, folder: Path, cancel: threading.Event
    ) -> None:
        self._remote = RemoteRun(sha256, folder, cancel, self._end)
        try:
            from ray.job_submission import JobSubmissionClient
        except ImportError as error:
            raise SettingsError(
                "trainer.launcher is ray, but Ray is not installed; run `pip install "
                '"discern[ray]"` or set trainer.launcher to "local"'
            ) from error
        try:
            self._client = JobSubmissionClient(address or None)
        except Exception as error:
            raise TrainingError(
                "cannot reach Ray at {address}: {error}; start it or fix trainer.address in "
                "config.toml",
                address=address or Sentence("the default address"),
                error=error,
            ) from error
        self._base = base
        self._job: str | None = None

    def fit(self, folder: Path) -> Iterator[Event]:
        """Run the job in `folder` as a Ray job; yield the events from its log.

        Raises:
            TrainingError: the job failed or was stopped.
            AdapterError: the returned adapter is not a plain LoRA.
        """
        away = folder / "away"
        away.mkdir(exist_ok=True)
        shutil.copyfile(self._remote.pack(folder), away / PACKED)
        ours = Path(__file__).parents[1]
        words = [PACKED, RESULT, "--base", self._base, "--print"]
        self._job = self._client.submit_job(
            entrypoint=f"python -m trainer.launch.remote_job {shlex.join(words)}",
            runtime_env={
                "working_dir": str(away),
                "py_modules": [str(ours), str(ours.parent / "memory")],
                "excludes": ["starter"],
            },
        )
        trained = Trained(str(folder / "adapter"))
        for event in self._remote.events(self._log(self._job), folder):
            if isinstance(event, Trained):
                trained = event
            else:
                yield event
        if self._remote.cancel.is_set():
            raise TrainingError(STOPPED)
        status = self._client.get_job_info(self._job)
        if str(status.status) != "SUCCEEDED":
            raise TrainingError(
                "the Ray job {job} ended with status {status}: {message}",
                job=self._job,
                status=status.status,
                message=" ".join(str(status.message).split())[-300:],
            )
        self._remote.accept(folder)
        yield trained

    def _log(self, job: str) -> Iterator[str]:
        """Yield the lines of the log of a Ray job until it ends."""
        lines: queue.Queue[str | None] = queue.Queue()

        async def tail() -> None:
            rest = ""
            async for part in self._client.tail_job_logs(job):
                *whole, rest = (rest + part).split("\n")
                for line in whole:
                    lines.put(line)
            lines.put(rest)

        def run() -> None:
            try:
                with contextlib.suppress(Exception):  # the status of the job is queried afterwards
                    asyncio.run(tail())
            finally:
                lines.put(None)

        thread = threading.Thread(target=run, name="discern-ray", daemon=True)
        thread.start()
        while (line := lines.get()) is not None:
            yield line
        thread.join()

    def _end(self) -> None:
        if self._job is not None:
            with contextlib.suppress(Exception):
                self._client.stop_job(self._job)

    def __enter__(self) -> Launcher:
        self._remote.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._remote.__exit__(*exc)
