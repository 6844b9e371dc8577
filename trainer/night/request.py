"""The request of a training run, and its cancellation."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory.settings.paths import Home
from memory.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Practice:
    """Several short runs from differently shuffled lessons, instead of a sweep of learning rates.

    The best one that passes the gate is published, or with `dry` none.
    """

    episodes: int
    steps: int
    dry: bool = False


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run in `home`, with `settings`, for the GGUF `model` (None: the one in the settings).

    `force` trains even if nothing changed since the current adapter. `practice` replaces the sweep of
    learning rates.
    """

    home: Home
    settings: Settings
    model: Path | None = None
    force: bool = False
    practice: Practice | None = None

    @property
    def model_path(self) -> Path:
        """The GGUF to train for."""
        from agent.models.served_model import served_model

        return self.model or served_model(self.settings)

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON values, to pass to a child process; a practice is left out."""
        home = self.home
        return {
            "home": [str(path) for path in (home.config, home.data, home.state, home.cache)],
            "settings": self.settings.model_dump(mode="json"),
            "model": str(self.model_path),
            "force": self.force,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunRequest:
        """Return the request that `to_json` wrote."""
        return cls(
            Home(*(Path(path) for path in values["home"])),
            Settings.model_validate(values["settings"]),
            Path(values["model"]),
            force=values["force"],
        )


class Cancellation(threading.Event):
    """Cancellation flag of a night: `set` cancels it for this date, `suspend` lets it be resumed."""

    suspended = False

    def suspend(self) -> None:
        """End the run because this process goes away; the night is resumed later."""
        self.suspended = True
        self.set()

    def clear(self) -> None:
        """Reset the flag for the next night."""
        self.suspended = False
        super().clear()
