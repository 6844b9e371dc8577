"""The training under way, whoever began it, from its beginning; else the last one, as it ended.

Phases, curves, how each lesson stands, the log. S stops it and keeps the best, A leaves nothing of it,
both asked once; Esc goes back to the chat and the training goes on. All of it is read from the run's
folder (`tui/training/run_follower.py`), so closing the chat or looking from several loses nothing.
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
from memory.i18n.i18n import tr
from memory.i18n.messages import render
from memory.journal.journal import Journal
from memory.settings.paths import Home
from memory.settings.settings import Settings
from trainer.night.run import Word, told
from trainer.report.report import every
from tui.keys.bindings import bindings, hints, keyboard_of
from tui.screens.modal import Modal
from tui.screens.report import ReportScreen
from tui.terminal.sanitize import one_line
from tui.training.run_follower import RunFollower
from tui.training.tries import Try
from tui.widgets.training.head import TrainingHead
from tui.widgets.training.lesson_rows import LessonRows
from tui.widgets.training.log import TrainingLog
from tui.widgets.training.loss_plot import LossPlot
from tui.widgets.training.phases import Phases

DRAW_SECONDS = 0.25
NARROW, SHORT = 64, 20
"""Columns under which the curves give way, rows under which the phases do."""


def now() -> datetime:
    """Return the time that the clock of the screen uses."""
    return datetime.now(UTC)


class TrainingScreen(Modal[None]):
    """One look at the training of a home; `end` asks whatever trains there to stop or to abort."""

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
        self, home: Home, settings: Settings, journal: Journal, end: Callable[[Word], None]
    ) -> None:
        super().__init__()
        self._settings, self._end, self._runs = settings, end, home.runs
        self._watch = RunFollower(home, journal)
        self._asking: Word | None = None
        self._told: Word | None = None
        self._said = ""
        self._chosen: int | None = None
        """The try that is looked at; None follows the latest."""
        self._drawn: object = None
        # By name and not looked up: a clock may strike when the screen is left and emptied.
        self._head, self._phases, self._plot = TrainingHead(), Phases(), LossPlot()
        self._lessons, self._log = LessonRows(), TrainingLog()
        self._foot = Static("", markup=False, classes="keys")

    def compose(self) -> ComposeResult:
        """Lay the parts down."""
        yield self._head
        with Horizontal():
            yield self._phases
            yield self._plot
        yield self._lessons
        yield self._log
        yield self._foot

    def on_mount(self) -> None:
        """Look, and go on looking."""
        self._fit()
        self._watch.begin()
        self.set_interval(DRAW_SECONDS, self._draw)

    def on_unmount(self) -> None:
        """Look no more."""
        self._watch.close()

    def on_resize(self, _event: events.Resize) -> None:
        """Give the room to what matters most."""
        self._fit()
        self.call_after_refresh(self._draw)

    def _fit(self) -> None:
        self.set_class(self.size.width < NARROW, "-narrow")
        self.set_class(self.size.height < SHORT, "-short")
        self._drawn = None

    # --- showing -----------------------------------------------------------------------------

    def _draw(self) -> None:
        """Show what is seen by now, if it is anything new."""
        if not self._watch.looked.is_set():
            return
        seen, moment = self._watch.seen, now()
        elapsed = seen.elapsed(moment)
        word = told(seen.folder) if seen.alive and seen.folder else None
        if not seen.alive:
            self._told = self._asking = None
        looks = (seen, int(elapsed), word, self._told, self._asking, self._said, self._chosen)
        sizes = (self.size, self._plot.size, self.app.theme)
        if self._drawn == (looks, sizes):
            return
        self._drawn = (looks, sizes)
        self.set_class(seen.folder is None, "-none")
        tried, taught = self._try, dict(seen.taught)
        night = None if seen.alive else self._next_night(moment)
        self._head.show(seen, elapsed, word or self._told, night, phase=self.has_class("-short"))
        self._phases.show(seen, tried.number if tried else 0, elapsed)
        self._plot.show(tried, several=len(seen.state.tries) > 1)
        self._lessons.begin(tried, taught, len(seen.state.lessons))
        self._log.begin(seen, taught)
        self._draw_keys()

    @property
    def _try(self) -> Try | None:
        tries = self._watch.seen.state.tries
        at = len(tries) - 1 if self._chosen is None else min(self._chosen, len(tries) - 1)
        return tries[at] if tries else None

    def _next_night(self, moment: datetime) -> datetime | None:
        from trainer.night.due_time import next_run

        return next_run(self._settings, moment.astimezone())

    def _draw_keys(self) -> None:
        self._foot.set_class(bool(self._asking), "-asking")
        self._foot.update(Content(one_line(self._keys(), max(20, self.size.width - 2))))

    def _question(self, word: Word) -> str:
        key = keyboard_of(self.app).first(f"train_{word}")
        if word == "abort":
            return tr("Abort it and keep nothing of it? {key} yes · Esc no", key=key)
        return tr(
            "Stop it, test the best so far, keep that if it holds? {key} yes · Esc no", key=key
        )

    def _keys(self) -> str:
        keyboard, seen = keyboard_of(self.app), self._watch.seen
        if self._asking or self._said:
            return self._question(self._asking) if self._asking else self._said
        pairs: list[tuple[str, str]] = []
        if seen.alive:
            pairs = [("train_stop", tr("stop and keep")), ("train_abort", tr("abort"))]
        elif seen.folder is not None:
            pairs = [("train_report", tr("report"))]
        if len(seen.state.tries) > 1:
            pairs.append(("try_before", tr("other try")))
        if seen.folder is not None:
            pairs.append(("train_pane", tr("log") if self._lessons_focused else tr("lessons")))
        back = tr("Esc back, it goes on") if seen.alive else tr("Esc back")
        more = ["↑ ↓"] if pairs else []
        while True:  # on a narrow screen what matters least goes first
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

    def action_ask(self, word: Word) -> None:
        """Ask whether to end it; asked again, end it."""
        self._said = ""
        if not self._watch.seen.alive:
            self._said = tr("Nothing trains now.")
        elif self._asking == word:
            self._asking = None
            try:
                self._end(word)
                self._told = word
            except DiscernError as error:
                self._said = render(error.sentence)
        else:
            self._asking = word
        self._draw()

    def action_walk(self, step: int) -> None:
        """Look at the try before or after; the last one is followed again."""
        tries = self._watch.seen.state.tries
        at = (len(tries) - 1 if self._chosen is None else self._chosen) + step
        self._chosen = max(0, at) if at < len(tries) - 1 else None
        self._said = ""
        self._draw()

    def action_pane(self) -> None:
        """Give the keyboard to the log, or back to the lessons; it gets the most room, too."""
        (self._log if self._lessons_focused else self._lessons).focus()
        self._drawn, self._said = None, ""
        self._draw()

    @work(group="report", exclusive=True)
    async def action_report(self) -> None:
        """Open the report of the run that is shown."""
        folder = self._watch.seen.folder
        if folder is None:
            return
        if self._watch.seen.alive:
            self._said = tr("The report comes when the training has ended.")
            self._draw()
            return
        found = await asyncio.to_thread(every, self._runs)
        found = [(other, report) for other, report in found if other.name <= folder.name]
        if found and found[0][0] == folder:
            self.app.push_screen(ReportScreen(found))
        else:
            self._said = tr("This run was cut off and left no report.")
            self._draw()

    def action_leave(self) -> None:
        """Take a question back, or go back to the chat; the training goes on."""
        if self._asking:
            self._asking = None
            self._draw()
        else:
            self.dismiss(None)
