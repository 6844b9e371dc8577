"""Many simulated days: nothing grows, and every day's row is correct."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from agent.adapters import find_adapter, list_adapters, read_pointer, verify
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tests.faults.programs.soak_process import moment
from tests.support.processes import ROOT
from trainer.launch.check_trained_files import CONFIG, WEIGHTS

DAYS = int(os.environ.get("DISCERN_SOAK_DAYS", "120"))


def recorded(folder: Path) -> Path:
    """A small adapter in PEFT's layout, as a training would have left it."""
    folder.mkdir()
    draw = np.random.default_rng(1)
    tensors = {}
    for layer in range(2):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_"
        tensors[f"{name}A.weight"] = draw.normal(0, 0.02, (4, 64)).astype(np.float32)
        tensors[f"{name}B.weight"] = draw.normal(0, 0.02, (80, 4)).astype(np.float32)
    save_file(tensors, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8.0}))
    return folder


def live(
    home: Home, model: Path, adapter: Path, first: int, kill_after: int
) -> list[dict[str, Any]]:
    """Run from day `first` until killed in the middle of a day; return the lines."""
    temporary = home.data / "tmp"
    temporary.mkdir(exist_ok=True)
    words = [str(home.data), str(model), str(adapter), str(first), str(DAYS)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.programs.soak_process", *words],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"},
    )
    told = []
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            told.append(json.loads(line))
            if len(told) == kill_after:
                break
        if told and told[-1]["day"] < DAYS - 1:
            try:
                process.wait(random.Random(first).uniform(0.0, 1.5))
            except subprocess.TimeoutExpired:
                process.kill()
    return told


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked at in /proc")
def test_simulated_days_leave_nothing_behind(
    home: Home, tiny: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    adapter = recorded(tmp_path / "recorded")
    lines: list[dict[str, Any]] = []
    kills = 0
    while not lines or lines[-1]["day"] < DAYS - 1:
        first = lines[-1]["day"] + 1 if lines else 0
        # It is killed eight times in the middle of a day, then runs to the end.
        stretch = live(home, tiny, adapter, first, 12 if kills < 8 else DAYS)
        assert stretch, "it ended without a word"
        lines += stretch
        kills += stretch[-1]["day"] < DAYS - 1
        alone = stretch[5:]
        for name, most in (("open", 3), ("kib", 60_000), ("children", 0), ("threads", 2)):
            grown = [line[name] for line in alone]
            assert not grown or grown[-1] - grown[0] <= most, f"{name} grew: {grown}"
    # torch creates one folder per user for compiled code.
    left = [path for path in (home.data / "tmp").iterdir() if "torchinductor" not in path.name]
    assert left == []
    assert not list(home.adapters.glob(".discern-*"))
    assert len(list_adapters(home.adapters)) <= 6
    assert len(list(home.runs.iterdir())) <= 31
    current = read_pointer(home.adapters).current
    assert current is not None
    verify(find_adapter(home.adapters, current))
    with Journal(home.journal) as journal:
        assert journal.check() is None
        nights = {night.day: night for night in journal.nights.latest(DAYS + 10)}
        assert len(journal.differences.all()) <= 6
    assert len(nights) == DAYS
    for day in range(DAYS):
        night = nights[moment(day).date().isoformat()]
        assert night.state == ("published" if day % 3 == 0 else "nothing"), (day, night)
        assert night.attempt <= 3
    record_property("faults", kills)
    size = sum(path.stat().st_size for path in home.data.rglob("*") if path.is_file())
    sys.stderr.write(
        f"{DAYS} days, {kills} kills, {size / 1e6:.1f} MB kept, open files {lines[5]['open']} to "
        f"{lines[-1]['open']}, memory {lines[-1]['kib'] / 1024:.0f} MiB\n"
    )
