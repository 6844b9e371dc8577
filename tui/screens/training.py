"""The Training screen: the run in progress, whichever process runs it, or else the latest one.

It shows stages, curves, results of the lessons and a log. S stops the run and keeps the best state, A
aborts it; both ask first. Esc returns to the chat and the run continues. Everything is read from the
run's folder (`tui/training/run_follower.py`), so the chat may be closed, and several screens may show
the same run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar

from rich.cells import cell_len
from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from memory.errors import DiscernError
from memory.i18n.interface_language import render, tr
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings
from trainer.night.run import EndRequest, requested_end
from trainer.report.report import every
from tui.keys.bindings import bindings, hints, keyboard_of
from tui.screens.modal import Modal
from tui.screens.report import ReportScreen
from tui.terminal.sanitize import one_line
from tui.training.run_follower import RunFollower
from tui.training.trials import TrialState
from tui.widgets.training.head import TrainingHead
from tui.widgets.training.lesson_rows import LessonRows
from tui.widgets.training.log import TrainingLog
from tui.widgets.training.loss_plot import LossPlot
from tui.widgets.training.phases import Phases

DRAW_SECONDS = 0.25
NARROW, SHORT = 64, 20
"""Columns below which the curves are hidden, and rows below which the stages are hidden."""


def now() -> datetime:
    """Return the current time; tests replace it."""
    return datetime.now(UTC)


class TrainingScreen(Modal[None]):
    """Shows the training of a home; `end` asks the run in progress to stop or abort."""

    DEFAULT_CSS = """
    TrainingScreen { layout: vertical; background: $background; }
    TrainingScreen > Horizontal { height: auto; border-top: solid $line; }
    TrainingScreen > .keys { height: 1; padding: 0 1; color: $muted; }
    TrainingScreen > .keys.-asking { color: $accent; text-style: bold; }
    TrainingScreen.-narrow LossPlot { display: none; }
    TrainingScreen.-narrow Phases { width: 1fr; }
    TrainingScreen.-short > Horizontal { display: none; }
    TrainingScreen.-none > Horizontal, TrainingScreen.-none > Rows { display: none; }
    TrainingScreen.-none > .keys { dock: bottom; }
    """
    AUTO_FOCUS = "#lessons"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("training"),
        Binding("ctrl+t", "leave", "Back", show=False, priority=True, id="training"),
    ]

    def __init__(
        self, home: Home, settings: Settings, journal: Journal, end: Callable[[EndRequest], None]
    ) -> None:
        super().__init__()
        self._settings, self._end, self._runs = settings, end, home.runs
        self._follower = RunFollower(home, journal)
        self._asking: EndRequest | None = None
        self._requested: EndRequest | None = None
        self._message = ""
        self._chosen: int | None = None
        """Index of the shown trial; None follows the latest."""
        self._drawn: object = None
        # Kept by name: a timer may fire when the screen has been closed and has no children.
        self._head, self._phases, self._plot = TrainingHead(), Phases(), LossPlot()
        self._lessons, self._log = LessonRows(), TrainingLog()
        self._foot = Static("", markup=False, classes="keys")

    def compose(self) -> ComposeResult:
        """Compose the parts of the screen."""
        yield self._head
        with Horizontal():
            yield self._phases
            yield self._plot
        yield self._lessons
        yield self._log
        yield self._foot

    def on_mount(self) -> None:
        """Start following the run."""
        self._fit()
        self._follower.begin()
        self.set_interval(DRAW_SECONDS, self._draw)

    def on_unmount(self) -> None:
        """Stop following the run."""
        self._follower.close()

    def on_resize(self, _event: events.Resize) -> None:
        """Hide the parts that do not fit."""
        self._fit()
        self.call_after_refresh(self._draw)

    def _fit(self) -> None:
        self.set_class(self.size.width < NARROW, "-narrow")
        self.set_class(self.size.height < SHORT, "-short")
        self._drawn = None

    # --- showing -----------------------------------------------------------------------------

    def _draw(self) -> None:
        """Show the run as it is now, if anything changed."""
        if not self._follower.ready.is_set():
            return
        view, moment = self._follower.view, now()
        elapsed = view.elapsed(moment)
        word = requested_end(view.folder) if view.alive and view.folder else None
        if not view.alive:
            self._requested = self._asking = None
        content = (
            view,
            int(elapsed),
            word,
            self._requested,
            self._asking,
            self._message,
            self._chosen,
        )
        sizes = (self.size, self._plot.size, self.app.theme)
        if self._drawn == (content, sizes):
            return
        self._drawn = (content, sizes)
        self.set_class(view.folder is None, "-none")
        trial, texts = self._trial, dict(view.texts)
        night = None if view.alive else self._next_night(moment)
        self._head.show(
            view, elapsed, word or self._requested, night, phase=self.has_class("-short")
        )
        self._phases.show(view, trial.number if trial else 0, elapsed)
        self._plot.show(trial, several=len(view.state.trials) > 1)
        self._lessons.begin(trial, texts, len(view.state.lessons))
        self._log.begin(view, texts)
        self._draw_keys()

    @property
    def _trial(self) -> TrialState | None:
        trials = self._follower.view.state.trials
        at = len(trials) - 1 if self._chosen is None else min(self._chosen, len(trials) - 1)
        return trials[at] if trials else None

    def _next_night(self, moment: datetime) -> datetime | None:
        from trainer.night.due_time import next_run

        return next_run(self._settings, moment.astimezone())

    def _draw_keys(self) -> None:
        self._foot.set_class(bool(self._asking), "-asking")
        self._foot.update(Content(one_line(self._keys(), max(20, self.size.width - 2))))

    def _question(self, word: EndRequest) -> str:
        key = keyboard_of(self.app).first(f"train_{word}")
        if word == "abort":
            return tr("Abort and discard everything? {key} yes · Esc no", key=key)
        return tr(
            "Stop, evaluate the best so far, keep it if it passes? {key} yes · Esc no", key=key
        )

    def _keys(self) -> str:
        keyboard, view = keyboard_of(self.app), self._follower.view
        if self._asking or self._message:
            return self._question(self._asking) if self._asking else self._message
        pairs: list[tuple[str, str]] = []
        if view.alive:
            pairs = [("train_stop", tr("stop and keep")), ("train_abort", tr("abort"))]
        elif view.folder is not None:
            pairs = [("train_report", tr("open report"))]
        if len(view.state.trials) > 1:
            pairs.append(("try_before", tr("other attempt")))
        if view.folder is not None:
            pairs.append(("train_pane", tr("log") if self._lessons_focused else tr("lessons")))
        back = tr("Esc back, still runs") if view.alive else tr("Esc back")
        more = ["↑ ↓"] if pairs else []
        while True:  # on a narrow screen the least important hints are dropped
            line = " · ".join(filter(None, [hints(keyboard, pairs), *more, back]))
            if cell_len(line) <= self.size.width - 2 or not pairs:
                return line
            if more:
                more = []
            else:
                pairs.pop()

    @property
    def _lessons_focused(self) -> bool:
        return not self._log.has_focus

    # --- keys --------------------------------------------------------------------------------

    def action_ask(self, word: EndRequest) -> None:
        """Ask whether to end the run; on the second press, end it."""
        self._message = ""
        if not self._follower.view.alive:
            self._message = tr("No training is running.")
        elif self._asking == word:
            self._asking = None
            try:
                self._end(word)
                self._requested = word
            except DiscernError as error:
                self._message = render(error.sentence)
        else:
            self._asking = word
        self._draw()

    def action_walk(self, step: int) -> None:
        """Show the previous or next trial; the last one is followed again."""
        trials = self._follower.view.state.trials
        at = (len(trials) - 1 if self._chosen is None else self._chosen) + step
        self._chosen = max(0, at) if at < len(trials) - 1 else None
        self._message = ""
        self._draw()

    def action_pane(self) -> None:
        """Move the focus between the lessons and the log; the focused one gets the most room."""
        (self._log if self._lessons_focused else self._lessons).focus()
        self._drawn, self._message = None, ""
        self._draw()

    @work(group="report", exclusive=True)
    async def action_report(self) -> None:
        """Open the report of the shown run."""
        folder = self._follower.view.folder
        if folder is None:
            return
        if self._follower.view.alive:
            self._message = tr("The report is available when the training ends.")
            self._draw()
            return
        found = await asyncio.to_thread(every, self._runs)
        found = [(other, report) for other, report in found if other.name <= folder.name]
        if found and found[0][0] == folder:
            self.app.push_screen(ReportScreen(found))
        else:
            self._message = tr("This run was interrupted and has no report.")
            self._draw()

    def action_leave(self) -> None:
        """Cancel the question, or return to the chat; the run continues."""
        if self._asking:
            self._asking = None
            self._draw()
        else:
            self.dismiss(None)
