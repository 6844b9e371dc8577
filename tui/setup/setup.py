"""The questions of the first start: possible answers, and the settings that they write.

If the user has a `config.toml`, they were answered; if they are skipped, one with only a comment is
written, so that they are not asked again. This module neither draws nor uses the network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from memory.settings.settings_file import write_settings

if TYPE_CHECKING:
    from agent.models.compatibility import Compatibility

MAX_LOCAL_FILES = 100
"""Maximum number of local files, those of Discern first."""

When = Literal["open", "timer", "asked"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A model that can be chosen.

    `size` is in bytes, approximate for a download; `path` is None where there is no file yet, and
    for the starter; `pull` is (repository, file) at the hub.
    """

    kind: Literal["starter", "here", "download", "path"]
    name: str
    size: int = 0
    path: Path | None = None
    pull: tuple[str, str] | None = None
    fits: bool = True


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers; a model of None is the starter."""

    model: Path | None
    when: When
    time: str


def is_first_start(home: Home) -> bool:
    """Return whether the questions were neither answered nor skipped."""
    return not home.settings_file.exists()


def choices(home: Home) -> list[Choice]:
    """Return the models to choose from: the starter, local files, downloads, a path."""
    from agent.models.models import find_models

    found = find_models(home)
    return [
        Choice("starter", "starter", starter_card()["bytes"]),
        *(Choice("here", item.name, item.size, item.path) for item in found[:MAX_LOCAL_FILES]),
        *_downloads({item.name.lower() for item in found}),
        Choice("path", "path"),
    ]


def _downloads(have: Set[str]) -> Iterator[Choice]:
    """Return downloads that are not among `have`, names in lower case."""
    from agent.models.models import (
        BYTES_PER_WEIGHT,
        MEMORY_PER_FILE_SIZE,
        advised,
        free_memory,
        known_models,
    )

    free = free_memory()
    for known in known_models():
        quant = advised(known, free)
        file = known.files[quant]
        if known.use == "chat" and f"{known.repo}:{file}".lower() not in have:
            size = int(known.parameters * 1e9 * BYTES_PER_WEIGHT[quant])
            yield Choice(
                "download",
                f"{known.name} {quant}",
                size,
                pull=(known.repo, file),
                fits=size * MEMORY_PER_FILE_SIZE < free,
            )


@cache
def starter_card() -> dict[str, int]:
    """Return bytes, parameters and number of facts from the starter's card."""
    from agent.models.served_model import STARTER

    card = json.loads(STARTER.with_name("card.json").read_text(encoding="utf-8"))
    return {
        "bytes": card["bytes"],
        "parameters": card["parameters"],
        "facts": card["data"]["facts"],
    }


def check_model(path: Path, settings: Settings) -> Compatibility:
    """Return how well a file can be used here; takes some seconds the first time.

    Raises:
        ModelError: it cannot be served.
    """
    from agent.models.compatibility import check_compatibility
    from trainer.evaluate.torch_parity import require_agreement

    return check_compatibility(path, settings, gpu=_card(), require_trainable=require_agreement)


@cache
def _card() -> int:
    from agent.models.compatibility import gpu_memory

    return gpu_memory()


def write_answers(home: Home, answers: Answers) -> dict[str, dict[str, str | bool]]:
    """Write the answers into the user's settings file at once; return what was written.

    Raises:
        SettingsError: the time is invalid; nothing is written.
        HomeError: the file cannot be written.
    """
    values: dict[str, dict[str, str | bool]] = {
        "model": {"path": str(answers.model) if answers.model else ""},
        "night": {"enabled": answers.when != "asked", "time": answers.time},
    }
    write_settings(home, values)
    return values


def record_skipped(home: Home) -> None:
    """Record that the questions were skipped, so that they are not asked again."""
    if is_first_start(home):
        write_settings(home, {})


def with_time(home: Home, time: str) -> Settings:
    """Return the settings with nights at this time.

    Raises:
        SettingsError: the time is invalid.
    """
    return read_settings(home, {"night": {"time": time, "enabled": True}})
