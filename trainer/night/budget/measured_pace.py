"""Store how long units of work take with one model on one machine.

`pace.json` in the state folder has the latest measurements of each model (by the sha256 of its file)
and machine. If it is missing or damaged, the next run calibrates.
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

PACE_FILE = "pace.json"
MAX_MODELS = 24
"""Number of entries kept, the latest ones."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds per unit of work; 0 if it was not measured.

    `probe`: decoding a few tokens (`trainer/night/budget/calibration.py`), as a measure of the speed of
    the machine. `answer`: an answer of the base that is not cached. `held`: the rest of composing, per
    prompt. `baseline`, `gate`: a prompt of each. `load`: preparing a training on `tokens` tokens.
    `token`: training on a token. `export`: converting the adapter to GGUF. `publish`: publishing it and
    writing the report.
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
    """Number of trials."""

    @property
    def measured(self) -> bool:
        """Whether an earlier run was measured to its end."""
        return self.token > 0 and self.gate > 0


def machine() -> str:
    """Return the key of this machine: its name, type and number of processors."""
    return f"{platform.node()}|{platform.machine()}|{os.cpu_count()}"


def read_pace(home: Home, sha256: str) -> Pace:
    """Return the measurements for this model on this machine."""
    found = _read(home.state / PACE_FILE).get(_key(sha256), {})
    known = {item.name for item in fields(Pace)}
    return Pace(**{name: float(found[name]) for name in known if _is_time(found.get(name))})


def keep_pace(home: Home, sha256: str, pace: Pace) -> None:
    """Store measurements, if possible; without them, the next run calibrates again."""
    path = home.state / PACE_FILE
    every = _read(path)
    every.pop(_key(sha256), None)
    every[_key(sha256)] = {name: round(value, 6) for name, value in asdict(pace).items()}
    with suppress(OSError):
        write_whole(path, json.dumps(dict(list(every.items())[-MAX_MODELS:]), indent=1))


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
