"""What the first start asks, what may be answered, and what an answer writes.

A person's own `config.toml` is the sign that it was answered: whoever leaves the questions gets a file
of one comment, and is not asked again. Nothing here draws; nothing here talks to the network.
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

MOST = 100
"""Files of this machine that are offered at most, ours first; a path names any other."""

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
    """What was answered; a model of None is the starter."""

    model: Path | None
    when: When
    time: str


def is_first_start(home: Home) -> bool:
    """Whether nobody has answered yet, nor written a file of their own."""
    return not home.settings_file.exists()


def choices(home: Home) -> list[Choice]:
    """Return what may talk: the starter, the files that are here, what can be fetched, a path."""
    from agent.models.models import find_models

    found = find_models(home)
    return [
        Choice("starter", "starter", starter_card()["bytes"]),
        *(Choice("here", item.name, item.size, item.path) for item in found[:MOST]),
        *_downloads({item.name.lower() for item in found}),
        Choice("path", "path"),
    ]


def _downloads(have: Set[str]) -> Iterator[Choice]:
    """Return what can be downloaded and is not among `have`, names in lower case."""
    from agent.models.models import BYTES, ROOM, advised, free_memory, known_models

    free = free_memory()
    for known in known_models():
        quant = advised(known, free)
        file = known.files[quant]
        if known.use == "chat" and f"{known.repo}:{file}".lower() not in have:
            size = int(known.parameters * 1e9 * BYTES[quant])
            yield Choice(
                "download",
                f"{known.name} {quant}",
                size,
                pull=(known.repo, file),
                fits=size * ROOM < free,
            )


@cache
def starter_card() -> dict[str, int]:
    """Return what the starter's card says of it: bytes, parameters and facts it knows."""
    from agent.models.serving import STARTER

    card = json.loads(STARTER.with_name("card.json").read_text(encoding="utf-8"))
    return {
        "bytes": card["bytes"],
        "parameters": card["parameters"],
        "facts": card["data"]["facts"],
    }


def judge(path: Path, settings: Settings) -> Compatibility:
    """Return what a file is good for here; takes some seconds the first time.

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


def write(home: Home, answers: Answers) -> dict[str, dict[str, str | bool]]:
    """Write the answers into the person's own file, all at once; returns what was written.

    Raises:
        SettingsError: the time is none; nothing is written.
        HomeError: the file cannot be written.
    """
    values: dict[str, dict[str, str | bool]] = {
        "model": {"path": str(answers.model) if answers.model else ""},
        "night": {"enabled": answers.when != "asked", "time": answers.time},
    }
    write_settings(home, values)
    return values


def leave(home: Home) -> None:
    """Note that the questions were left, so that they are not asked again."""
    if is_first_start(home):
        write_settings(home, {})


def with_time(home: Home, time: str) -> Settings:
    """Return the settings as they would be with nights at this time.

    Raises:
        SettingsError: the time is none.
    """
    return read_settings(home, {"night": {"time": time, "enabled": True}})
