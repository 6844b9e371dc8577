"""Where a training stands, folded from its events; drawn by the panel and the status line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from memory.i18n.i18n import tr

BARS = "▁▂▃▄▅▆▇█"
PHASES = {
    "start": "starting",
    "room": "waiting for the model's room",
    "compose": "composing lessons",
    "anchors": "asking unrelated questions",
    "beside": "asking the base and recall",
    "load": "loading the weights",
    "train": "learning",
    "trained": "learning",
    "export": "exporting",
    "probe": "probing",
    "gate": "testing",
    "publish": "publishing",
    "report": "writing the report",
}
# Where a phase begins and ends on the bar of the whole.
SHARES = {
    "start": (0.0, 0.02),
    "room": (0.02, 0.02),
    "compose": (0.02, 0.04),
    "anchors": (0.04, 0.16),
    "beside": (0.16, 0.2),
    "load": (0.2, 0.3),
    "train": (0.3, 0.75),
    "trained": (0.75, 0.77),
    "export": (0.77, 0.79),
    "probe": (0.79, 0.82),
    "gate": (0.82, 0.97),
    "publish": (0.97, 0.99),
    "report": (0.99, 1.0),
}


@dataclass(frozen=True, slots=True)
class Progress:
    """A training under way; `done` of `total` counts within the phase."""

    source: str = "train"
    phase: str = "start"
    done: int = 0
    total: int = 0
    losses: tuple[float, ...] = ()
    learnt: float | None = None
    attempt: int = 0

    @property
    def label(self) -> str:
        """The phase in words."""
        return tr(PHASES.get(self.phase, self.phase))

    @property
    def share(self) -> float:
        """How far the whole is, 0 to 1, as well as it can be known."""
        begins, ends = SHARES.get(self.phase, (0.0, 0.0))
        within = min(1.0, self.done / self.total) if self.total else 0.0
        return begins + (ends - begins) * within

    @property
    def short(self) -> str:
        """The phase for the status line."""
        if self.phase in ("train", "trained"):
            share = f" {self.done}/{self.total}" if self.total else ""
            return f"{tr('training')}{share}"
        return f"{tr('training')}: {self.label}"

    def after(self, event: Mapping[str, Any]) -> Progress:
        """Return the progress once `event` has happened; what an event lacks is left as it was."""
        phase = str(event.get("phase", self.phase))
        fresh = phase != self.phase and not (self.phase == "train" and phase == "trained")
        progress = replace(self, phase=phase)
        if fresh:
            progress = replace(progress, done=0, total=0)
            if phase == "load":
                progress = replace(progress, losses=(), learnt=None, attempt=self.attempt + 1)
        done, total = event.get("step", event.get("done")), event.get("steps", event.get("total"))
        if isinstance(done, int):
            progress = replace(progress, done=done)
        if isinstance(total, int) and phase != "trained":
            progress = replace(progress, total=total)
        if isinstance(loss := event.get("loss"), int | float):
            progress = replace(progress, losses=(*progress.losses, float(loss)))
        if isinstance(learnt := event.get("learnt"), int | float):
            progress = replace(progress, learnt=float(learnt))
        return progress


def bar(share: float, width: int) -> str:
    """Return a bar of `width` columns, filled by `share`."""
    filled = round(width * min(1.0, max(0.0, share)))
    return "█" * filled + "░" * (width - filled)


def sparkline(values: tuple[float, ...], width: int, top: float = 0.0) -> str:
    """Return the finite values as `width` bars at most, from 0 to `top`, else to the largest."""
    values = tuple(value for value in values if math.isfinite(value))
    if not values or width <= 0:
        return ""
    if len(values) > width:
        step = (len(values) - 1) / max(1, width - 1)
        values = tuple(values[round(number * step)] for number in range(width))
    top = top or max(values) or 1.0
    last = len(BARS) - 1
    return "".join(BARS[max(0, min(last, round(value / top * last)))] for value in values)


def clock(seconds: float) -> str:
    """Return minutes and seconds, and hours where there are any."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
