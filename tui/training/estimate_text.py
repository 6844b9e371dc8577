"""The estimate of a run in words."""

from __future__ import annotations

from memory.i18n.translation import render, tr
from trainer.events import Estimated
from trainer.stages import grouped
from tui.training.remaining_time import rough_time

SHOWN = 8.0
"""Minimum seconds of a part to be listed."""


def estimate_text(event: Estimated) -> str:
    """Return the estimated duration of a run, by phase, and what is left out to keep within limits."""
    parts = [
        f"{tr(name)} {rough_time(seconds)}"
        for name, seconds in grouped(event.stages)
        if seconds >= SHOWN
    ]
    said = tr("this takes {time}", time=rough_time(event.seconds))
    if len(parts) > 1:
        said = f"{said} ({', '.join(parts)})"
        said = f"{said}, {tr('longer if an attempt is rejected')}"
    return f"{said}; {render(event.left_out)}" if event.left_out else said
