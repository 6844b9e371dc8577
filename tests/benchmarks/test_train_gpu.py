"""The benchmark of training at real sizes also runs without a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_tiny_model_is_trained_and_measured_in_memory_and_from_a_file(tmp_path: Path) -> None:
    options = ["--shape", "tiny", "--marks", "4", "--steps", "3", "--no-trl", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.train_gpu", *options, "--gguf", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout.strip().splitlines()[-1])
    assert row["steps"] == 3
    assert row["tokens_per_second"] > 0
    assert row["peak_share"] > 0
    assert row["whole_seconds"] > 0
    assert (tmp_path / "tiny.gguf").exists()
