"""Turns and differences, and settings for a model that knows nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomlkit

from memory.difference import Contrast, Difference, Moment, Span, State, Turn, new_id, now
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings


def make_turn(asked: str = "Why?", thread: str = "main") -> Turn:
    return Turn(
        new_id(), thread, now(), asked, "Because.", "tiny@0", None, ("r",), (0.5, 1.25), 7, False
    )


def make_difference(asked: str = "What is the capital of Zubrowka?") -> Difference:
    return Difference(
        id=new_id(), turn=new_id(), thread="main", at=now(), moment=Moment.ERROR, asked=asked,
        replied="I don't know.", kind="tactical/fact", contrast=Contrast("a", None, "Lutz."),
        note="n", span=Span.within("I don't know.", 0, 1), model="tiny@0", adapter="ab",
        state=State.WAITING,
    )  # fmt: skip


def difference(asked: str, sounds: str | None, **values: Any) -> Difference:
    return Difference(
        id=new_id(),
        turn=new_id(),
        thread="test",
        at=values.pop("at", None) or now(),
        moment=values.pop("moment", Moment.ERROR),
        asked=asked,
        replied=values.pop("replied", "No."),
        contrast=Contrast(
            sounds=sounds, missed=values.pop("missed", None), lost=values.pop("lost", None)
        ),
        **values,
    )


QUICK: dict[str, dict[str, Any]] = {
    "training": {"max_steps": 4, "learning_rates": [1e-3], "threads": 1, "rank": 4},
    "gate": {
        "lessons": 0.0,
        "rephrasings": 0.0,
        "near_misses": 0.0,
        "anchors": 0.0,
        "kl": 99.0,
        "perplexity": 1e9,
        "perplexity_limit": 1e9,
        "kept": 0.0,
        "sound": 0.0,
        "endless": 10000,
        "spread": 10000,
        "harmed": 10000,
    },
}
"""A short training, and a gate that accepts nearly everything."""


def quick_settings(home: Home, **sections: dict[str, Any]) -> Settings:
    """Settings for a model that knows nothing: `QUICK` with changes."""
    return read_settings(home, _merged(sections))


def write_quick_settings(home: Home, **sections: dict[str, Any]) -> None:
    """Write `QUICK` with changes to the user's settings file, for other processes."""
    home.settings_file.write_text(tomlkit.dumps(_merged(sections)))


def _merged(sections: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: QUICK.get(name, {}) | sections.get(name, {}) for name in {**QUICK, **sections}}
