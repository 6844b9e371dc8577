"""Training children forked from a process that has already imported torch, transformers and peft.

Importing them takes some four seconds of processor time, and the suite starts a training child about a
hundred times. The child runs the same `trainer.fit` as `python -m trainer.fit --serve`; only its
imports are shared. Children with another PYTHONPATH (a `sitecustomize` that injects faults) and those
of other processes are started as ever.

    python -m tests.support.warm_training SOCKET     the process that is forked
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast

_STATUS = 4
"""Bytes in which an exit status is sent."""


class Forked:
    """The part of `subprocess.Popen` that `trainer.launch.worker_client` uses."""

    def __init__(self, server: Path, env: dict[str, str], errors: IO[bytes]) -> None:
        """Fork a child with its own pipes."""
        child_in, ours_out = os.pipe()
        ours_in, child_out = os.pipe()
        self.stdin = os.fdopen(ours_out, "w", encoding="utf-8")
        self.stdout = os.fdopen(ours_in, encoding="utf-8")
        self._status: int | None = None
        self._link = socket.socket(socket.AF_UNIX)
        self._link.connect(str(server))
        asked = json.dumps({"env": env, "cwd": str(Path.cwd())}).encode()
        socket.send_fds(self._link, [asked + b"\n"], [child_in, child_out, errors.fileno()])
        os.close(child_in)
        os.close(child_out)
        self.pid = int.from_bytes(self._link.recv(_STATUS, socket.MSG_WAITALL))

    def poll(self) -> int | None:
        """Return the exit status, or None while the child runs."""
        if self._status is None and select.select([self._link], [], [], 0)[0]:
            return self.wait()
        return self._status

    def kill(self) -> None:
        """Kill the child unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the child's end and return its exit status."""
        if self._status is None:
            self._link.settimeout(timeout)
            told = self._link.recv(_STATUS, socket.MSG_WAITALL)
            self._link.close()
            self._status = int.from_bytes(told, signed=True)
        return self._status


class Warm:
    """A process that is forked, started when the first training child is wanted."""

    def __init__(self, folder: Path) -> None:
        """Keep its socket in `folder`."""
        self._socket = folder / "warm"
        self._process: subprocess.Popen[bytes] | None = None
        self._path = os.environ.get("PYTHONPATH")

    def popen(
        self, command: list[str], *, env: dict[str, str], stderr: IO[bytes], **how: Any
    ) -> Any:
        """Start a training child as `subprocess.Popen` would."""
        if os.environ.get("PYTHONPATH") != self._path or "preexec_fn" in how:
            return subprocess.Popen(command, env=env, stderr=stderr, **how)
        if self._process is None:
            mine = {**env, "DISCERN_PARENT": str(os.getpid())}
            call = [sys.executable, "-m", "tests.support.warm_training", str(self._socket)]
            self._process = subprocess.Popen(call, env=mine, cwd=Path(__file__).parents[2])
            while not self._socket.exists():
                assert self._process.poll() is None
                time.sleep(0.02)
        return Forked(self._socket, env, stderr)

    @property
    def subprocess(self) -> Any:
        """Replaces the module `subprocess` where the child is started."""
        return SimpleNamespace(Popen=self.popen, PIPE=subprocess.PIPE)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _serve(path: str) -> None:
    import gguf  # noqa: F401
    import peft  # noqa: F401
    import safetensors.torch  # noqa: F401
    import torch  # noqa: F401
    import transformers.integrations.gguf.reader
    import transformers.models.qwen2
    import transformers.models.qwen3  # noqa: F401

    from agent.child_process import die_with_parent
    from trainer.fit import autotune, step, training_loop  # noqa: F401

    die_with_parent()
    awake, wake = os.pipe()
    for end in (awake, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    links: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{path}.new")
        server.listen(16)
        Path(f"{path}.new").rename(path)
        while True:
            waited_for: list[socket.socket | int] = [server, awake]
            ready, _, _ = select.select(waited_for, [], [])
            if awake in ready:
                os.read(awake, 4096)
                _reap(links)
            if server in ready:
                link, _ = server.accept()
                asked, fds, _, _ = socket.recv_fds(link, 1 << 20, 3)
                while not asked.endswith(b"\n"):
                    asked += link.recv(1 << 20)
                if not (child := os.fork()):
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    _become(json.loads(asked), fds)
                link.sendall(child.to_bytes(_STATUS))
                links[child] = link
                for end in fds:
                    os.close(end)


def _reap(links: dict[int, socket.socket]) -> None:
    while links:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            return
        with links.pop(child) as link:
            try:
                link.sendall(os.waitstatus_to_exitcode(status).to_bytes(_STATUS, signed=True))
            except OSError:
                continue  # its parent no longer waits


def _become(asked: dict[str, Any], fds: list[int]) -> None:
    """Be the training child; does not return."""
    for number, end in enumerate(fds):
        os.dup2(end, number)
    os.closerange(3, 4096)
    os.environ.clear()
    os.environ.update({**asked["env"], "DISCERN_PARENT": str(os.getppid())})
    os.chdir(asked["cwd"])
    from agent.child_process import die_with_parent
    from trainer.fit.training_loop import main
    from trainer.subprocesses import lower_priority

    die_with_parent()
    lower_priority()
    code = 1
    try:
        code = main(["--serve"])
    finally:
        cast("IO[str]", sys.stdout).flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1])
