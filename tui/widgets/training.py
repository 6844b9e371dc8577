"""The panel of a training under way: its phase, how far, the loss, what is learnt, the time.

It takes the keyboard with Ctrl+T; Esc there asks to stop the training, a second Esc stops it and keeps
the best so far, A leaves nothing of it.
"""

from __future__ import annotations

import time

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from tui.progress import Progress, bar, clock, sparkline


class TrainingPanel(Static, can_focus=True):
    """Two lines above the input; hidden while nothing trains."""

    DEFAULT_CSS = """
    TrainingPanel {
        height: 3;
        display: none;
        padding: 0 2 0 1;
        border-top: solid $line;
        &:focus { border-top: solid $accent; }
    }
    """

    class Stopped(Message):
        """The person asked twice to stop the training; `abort` when nothing of it shall stay."""

        def __init__(self, abort: bool) -> None:
            super().__init__()
            self.abort = abort

    class Left(Message):
        """The panel gives the keyboard back."""

    def __init__(self) -> None:
        super().__init__(markup=False, id="training")
        self.progress: Progress | None = None
        self.asking = False
        self.stopping = self.aborting = False
        self._began = 0.0

    def on_mount(self) -> None:
        """Let the clock run."""
        self.set_interval(1.0, self._draw)

    def begin(self, source: str) -> None:
        """Show the panel."""
        self.progress = Progress(source)
        self.asking = self.stopping = self.aborting = False
        self._began = time.monotonic()
        self.display = True
        self._draw()

    def change(self, progress: Progress) -> None:
        """Show where the training stands."""
        self.progress = progress
        self._draw()

    def end(self) -> None:
        """Hide the panel."""
        self.progress = None
        self.asking = self.stopping = self.aborting = False
        self.display = False
        if self.has_focus:
            self.post_message(self.Left())

    def on_resize(self) -> None:
        """Fit the lines anew."""
        self._draw()

    def on_blur(self) -> None:
        """Stop asking."""
        self.asking = False
        self._draw()

    def on_key(self, event: events.Key) -> None:
        """Esc asks, then stops, A aborts; any other key takes the question back or leaves."""
        event.stop()
        if event.key == "escape" and not self.stopping:
            if self.asking:
                self.stop()
            else:
                self.asking = True
                self._draw()
        elif event.key in ("a", "A") and self.asking:
            self.stop(abort=True)
        elif self.asking:
            self.asking = False
            self._draw()
        else:
            self.post_message(self.Left())

    def stop(self, *, abort: bool = False) -> None:
        """Ask the training to stop at its best, or to leave nothing."""
        self.asking, self.stopping, self.aborting = False, True, abort
        self._draw()
        self.post_message(self.Stopped(abort))
        self.post_message(self.Left())

    def _draw(self) -> None:
        progress = self.progress
        if progress is None:
            return
        variables = self.app.theme_variables
        accent, muted = variables["accent"], variables["muted"]
        width = max(20, (self.size.width or self.app.size.width) - 3)
        name = "tonight's training" if progress.source == "night" else "training"
        again = f", try {progress.attempt}" if progress.attempt > 1 else ""
        if self.stopping:
            right = "aborting…" if self.aborting else "stopping; the best is tested…"
        elif self.asking:
            right = "Esc stops and keeps the best · A aborts"
        else:
            right = "Esc stops it" if self.has_focus else "Ctrl+T, Esc stops it"
        left = f"◆ {name}  "
        middle = progress.label + again
        gap = max(1, width - len(left) - len(middle) - len(right))
        top = Content.assemble(
            (left, accent), middle, " " * gap, (right, accent if self.asking else muted)
        )
        self.update(Content("\n").join([top, self._second(progress, width)]))

    def _second(self, progress: Progress, width: int) -> Content:
        muted = self.app.theme_variables["muted"]
        facts: list[str] = []
        if progress.total:
            facts.append(f"{progress.done}/{progress.total}")
        if progress.losses:
            room = max(6, min(24, width // 4 - 4))
            facts.append(f"loss {sparkline(progress.losses, room)} {progress.losses[-1]:.2f}")
        if progress.learnt is not None:
            facts.append(f"learnt {progress.learnt:.0%}")
        facts.append(clock(time.monotonic() - self._began))
        text = "  ".join(facts)
        room = max(6, min(30, width - len(text) - 4))
        line = bar(progress.share, room)
        full = line.count("█")
        accent, rest = self.app.theme_variables["accent"], self.app.theme_variables["line"]
        return Content.assemble(
            "  ", (line[:full], accent), (line[full:], rest), "  ", (text, muted)
        )
