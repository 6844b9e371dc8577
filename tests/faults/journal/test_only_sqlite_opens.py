"""In a running process, only SQLite opens the journal's files, and its locks are kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from memory.settings.paths import Home
from tests.support.processes import ROOT


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="descriptors are looked at in /proc"
)
def test_no_operation_opens_an_open_journals_files_or_drops_its_locks(
    home: Home, tiny: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.programs.opening_process", str(home.data), str(tiny)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(steps) > 30
    for step in steps:
        assert step["opened"] == [], step["step"]
        assert step["still"], step["step"]
        assert step["locked"], step["step"]
    # SQLite closes some descriptors late and reuses them first: their number does not grow.
    assert max(step["more"] for step in steps[-5:]) <= 3
