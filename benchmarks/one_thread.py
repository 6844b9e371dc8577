"""Settings with one thread, so that processor seconds do not depend on other load."""

from __future__ import annotations

from memory.settings.paths import Home
from memory.settings.settings import ModelSettings, Settings, read_settings


def quiet_settings(home: Home) -> Settings:
    """Return the default settings with one thread."""
    return read_settings(home, {"training": {"threads": 1}, "model": {"threads": 1}})


def one_thread() -> ModelSettings:
    """Return the settings of an engine with one thread."""
    return ModelSettings(path="", context=0, threads=1, gpu_layers=0)
