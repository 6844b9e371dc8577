"""Progress of a training, computed from its events, for the panel and the status line."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from memory.i18n.interface_language import tr
from trainer.events import Counted, Event, Step, StepsPlanned, Trained

BARS = "▁▂▃▄▅▆▇█"
PHASES = {
    "start": "starting",
    "room": "waiting for memory",
    "compose": "composing lessons",
    "calibrate": "measuring speed",
    "estimate": "measuring speed",
    "anchors": "collecting base answers",
    "beside": "measuring baselines",
    "load": "loading weights",
    "train": "updating weights",
    "trained": "updating weights",
    "export": "exporting",
    "probe": "load test",
    "gate": "evaluating",
    "publish": "publishing",
    "report": "writing the report",
}
# Start and end of each phase on the progress bar.
SHARES = {
    "start": (0.0, 0.02),
    "room": (0.02, 0.02),
    "compose": (0.02, 0.03),
    "calibrate": (0.03, 0.04),
    "estimate": (0.04, 0.04),
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
    """Progress of a training; `done` of `total` counts within the phase."""

    source: str = "train"
    phase: str = "start"
    done: int = 0
    total: int = 0
    losses: tuple[float, ...] = ()
    learnt: float | None = None
    attempt: int = 0

    @property
    def label(self) -> str:
        """The phase for display."""
        return tr(PHASES.get(self.phase, self.phase))

    @property
    def share(self) -> float:
        """Estimated progress of the whole training, 0 to 1."""
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

    def after(self, event: Event) -> Progress:
        """Return the progress after `event`."""
        phase = event.phase
        fresh = phase != self.phase and not (self.phase == "train" and phase == "trained")
        progress = replace(self, phase=phase)
        if fresh:
            progress = replace(progress, done=0, total=0)
            if phase == "load":
                progress = replace(progress, losses=(), learnt=None, attempt=self.attempt + 1)
        if (count := count_in(event)) is not None:
            done, total = count
            progress = replace(progress, done=done, total=total)
        if isinstance(event, Step):
            progress = replace(progress, losses=(*progress.losses, event.loss))
        if isinstance(event, Step | Trained):
            progress = replace(progress, learnt=event.learnt)
        return progress


def count_in(event: Event) -> tuple[int, int] | None:
    """Return the count and total of an event; None if it has none."""
    match event:
        case Counted(done=done, total=total):
            return done, total
        case StepsPlanned(step=step, steps=steps) | Step(step=step, steps=steps):
            return step, steps
    return None


def bar(share: float, width: int) -> str:
    """Return a bar of `width` columns, filled to `share` (0 to 1)."""
    filled = round(width * min(1.0, max(0.0, share)))
    return "█" * filled + "░" * (width - filled)


def sparkline(values: tuple[float, ...], width: int, top: float = 0.0) -> str:
    """Return the finite values as at most `width` bars, scaled to `top` or else to the largest."""
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
    """Format a duration as m:ss, or h:mm:ss from one hour."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
