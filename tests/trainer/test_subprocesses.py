"""A training child never outlives the process that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.child_process import environment

PARENT = """
import subprocess, sys
from pathlib import Path
from trainer.launch.worker_client import TrainingWorker
trainee = TrainingWorker(Path(sys.argv[1]))
print(trainee._child.pid, flush=True)
trainee._child.stdout.readline()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's help is Linux's")
def test_the_training_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert parent.stdout.readline().strip() == "ready"
        # The child keeps the log open; when its descriptor is closed, the child has ended.
        watch = os.pidfd_open(child)
        parent.send_signal(signal.SIGKILL)
        import select

        ended, _, _ = select.select([watch], [], [], 10)
        os.close(watch)
        assert ended
