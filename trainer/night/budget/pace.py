"""How long units of work take with one model on one machine, as earlier runs measured it.

`pace.json` in the state folder has the latest figures of each model (by the sha256 of its file) and
machine. A file that is missing or damaged costs only a calibration.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from memory.errors import FileError
from memory.files.atomic_write import write_whole
from memory.files.bounded_read import read_json
from memory.settings.paths import Home

FILE = "pace.json"
KEPT = 24
"""Models and machines that are kept, the latest measured."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds of each unit of work; 0 where it was not measured.

    `probe` is decoding a few tokens (`trainer/night/budget/calibration.py`): how fast the machine was
    then. `answer` is an answer of the base that is not cached, `held` the rest of composing for each
    prompt; `baseline` and `gate` are one prompt of each; `load` is preparing a training on `tokens`
    tokens, `token` training on one token, `export` making a file that can be served, `publish`
    publishing it and writing the report.
    """

    probe: float = 0.0
    answer: float = 0.0
    held: float = 0.0
    baseline: float = 0.0
    gate: float = 0.0
    load: float = 0.0
    tokens: float = 0.0
    token: float = 0.0
    export: float = 0.0
    publish: float = 0.0
    steps: float = 0.0
    """Share of the planned training steps that were taken."""
    step_tokens: float = 0.0
    """Tokens in a training step."""
    tries: float = 0.0
    """Trials until one passed, or all."""

    @property
    def measured(self) -> bool:
        """Whether an earlier run was measured to its end."""
        return self.token > 0 and self.gate > 0


def machine() -> str:
    """Return what identifies this machine in the file: its name, kind and processors."""
    return f"{platform.node()}|{platform.machine()}|{os.cpu_count()}"


def read_pace(home: Home, sha256: str) -> Pace:
    """Return what was measured with this model on this machine."""
    found = _read(home.state / FILE).get(_key(sha256), {})
    known = {item.name for item in fields(Pace)}
    return Pace(**{name: float(found[name]) for name in known if _is_time(found.get(name))})


def keep_pace(home: Home, sha256: str, pace: Pace) -> None:
    """Store what was measured; if it cannot be written, the next run calibrates again."""
    path = home.state / FILE
    every = _read(path)
    every.pop(_key(sha256), None)
    every[_key(sha256)] = {name: round(value, 6) for name, value in asdict(pace).items()}
    with suppress(OSError):
        write_whole(path, json.dumps(dict(list(every.items())[-KEPT:]), indent=1))


def _key(sha256: str) -> str:
    return f"{sha256[:32]}|{machine()}"


def _read(path: Path) -> dict[str, Mapping[str, Any]]:
    try:
        found = read_json(path)
    except (OSError, ValueError, FileError):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, Mapping)}


def _is_time(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value >= 0
    )
