"""What a training run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from memory.settings.paths import Home
from memory.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Practice:
    """Several short runs from differently shuffled lessons, instead of a sweep of learning rates.

    The best one that passes the gate is published; none is when `dry`.
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
        from agent.models.serving import served_model

        return self.model or served_model(self.settings)
