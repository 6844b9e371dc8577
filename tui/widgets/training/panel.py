"""Panel of the training in progress: its phase, progress, loss, share learned and time.

It names the key that opens the Training screen (`tui/screens/training.py`); a click does too.
"""

from __future__ import annotations

import time

from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from memory.i18n.interface_language import decimal, tr
from tui.keys.bindings import keyboard_of
from tui.training.progress import Progress, bar, clock, sparkline


class TrainingPanel(Static):
    """Two lines above the input, hidden if there is no training."""

    DEFAULT_CSS = """
    TrainingPanel {
        height: 3;
        display: none;
        padding: 0 2 0 1;
        border-top: solid $line;
        &:hover { border-top: solid $accent; }
    }
    """

    class Clicked(Message):
        """The panel was clicked, to open the Training screen."""

    def __init__(self) -> None:
        super().__init__(markup=False, id="training")
        self.progress: Progress | None = None
        self.stopping = self.aborting = False
        self._began = 0.0

    def on_mount(self) -> None:
        """Update the clock every second."""
        self.set_interval(1.0, self._draw)

    def begin(self, source: str) -> None:
        """Show the panel."""
        self.progress = Progress(source)
        self.stopping = self.aborting = False
        self._began = time.monotonic()
        self.display = True
        self._draw()

    def change(self, progress: Progress) -> None:
        """Show new progress."""
        self.progress = progress
        self._draw()

    def end(self) -> None:
        """Hide the panel."""
        self.progress = None
        self.stopping = self.aborting = False
        self.display = False

    def stop(self, *, abort: bool = False) -> None:
        """Show that the training was asked to stop or abort."""
        self.stopping, self.aborting = True, abort
        self._draw()

    def on_resize(self) -> None:
        """Fit the lines to the new width."""
        self._draw()

    def on_click(self) -> None:
        """Open the Training screen."""
        self.post_message(self.Clicked())

    def _draw(self) -> None:
        progress = self.progress
        if progress is None:
            return
        variables = self.app.theme_variables
        accent, muted = variables["accent"], variables["muted"]
        width = max(20, (self.size.width or self.app.size.width) - 3)
        name = tr("nightly training") if progress.source == "night" else tr("training")
        again = tr(", attempt {number}", number=progress.attempt) if progress.attempt > 1 else ""
        if self.stopping:
            right = tr("aborting…") if self.aborting else tr("stopping; evaluating the best…")
        else:
            right = tr("{key} details", key=keyboard_of(self.app).first("training"))
        left = f"◆ {name}  "
        middle = progress.label + again
        gap = max(1, width - len(left) - len(middle) - len(right))
        top = Content.assemble((left, accent), middle, " " * gap, (right, muted))
        self.update(Content("\n").join([top, self._second(progress, width)]))

    def _second(self, progress: Progress, width: int) -> Content:
        muted = self.app.theme_variables["muted"]
        facts: list[str] = []
        if progress.total:
            facts.append(f"{progress.done}/{progress.total}")
        if progress.losses:
            room = max(6, min(24, width // 4 - 4))
            drawn = sparkline(progress.losses, room)
            loss = decimal(f"{progress.losses[-1]:.2f}")
            facts.append(tr("loss {loss}", loss=f"{drawn} {loss}"))
        if progress.learnt is not None:
            facts.append(tr("learnt {share}", share=f"{progress.learnt:.0%}"))
        facts.append(clock(time.monotonic() - self._began))
        text = "  ".join(facts)
        room = max(6, min(30, width - len(text) - 4))
        line = bar(progress.share, room)
        full = line.count("█")
        accent, rest = self.app.theme_variables["accent"], self.app.theme_variables["line"]
        return Content.assemble(
            "  ", (line[:full], accent), (line[full:], rest), "  ", (text, muted)
        )
