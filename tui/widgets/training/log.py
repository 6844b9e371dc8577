"""Log of a training: entries with their time; the view stays at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from rich.text import Text

from memory.i18n.interface_language import tr
from trainer.events import Judged, Reported, Step
from tui.training.log_text import entry_text
from tui.training.progress import clock
from tui.training.run_follower import LessonText, RunView
from tui.training.state import LogEntry
from tui.widgets.common.rows import Rows
from tui.widgets.training.lesson_rows import named


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log: the time if it begins an entry, its text and color."""

    at: str
    words: str
    tone: str


class TrainingLog(Rows[LogLine]):
    """The entries in order, wrapped to the width."""

    FOLLOWS = True

    def __init__(self) -> None:
        super().__init__(self._row, id="log")
        self.border_title = tr("log")
        self._made_for: object = None
        self._log: tuple[LogEntry, ...] = ()
        self._lines_shown: list[LogLine] = []

    def begin(self, view: RunView, texts: Mapping[str, LessonText]) -> None:
        """Show the log of a run; only new entries are wrapped."""
        log, known = view.state.log, len(self._log)
        made_for = (view.folder, self.scrollable_content_region.width, view.texts)
        if (made_for, log) == (self._made_for, self._log):
            return
        if made_for != self._made_for or log[:known] != self._log:
            known, self._lines_shown = 0, []
        self._made_for, self._log = made_for, log
        self._lines_shown += [
            line for entry in log[known:] for line in self._lines(entry, view, texts)
        ]
        self.show(self._lines_shown)

    def _lines(
        self, entry: LogEntry, view: RunView, texts: Mapping[str, LessonText]
    ) -> list[LogLine]:
        at = clock(entry.at)
        if view.began is not None:
            at = f"{(view.began + timedelta(seconds=entry.at)).astimezone():%H:%M:%S}"
        words = Text(entry_text(entry, lambda difference, kind: named(difference, kind, texts)))
        room = max(16, self.scrollable_content_region.width - len(at) - 2)
        lines = words.wrap(self.app.console, room)
        times = [at, *[" " * len(at)] * (len(lines) - 1)]
        return [
            LogLine(time, line.plain.rstrip(), _tone(entry))
            for time, line in zip(times, lines, strict=True)
        ]

    def _row(self, item: LogLine, width: int) -> Text:
        """Return the time and the text."""
        variables = self.app.theme_variables
        return Text.assemble(
            (f"{item.at}  ", variables["muted"]), (item.words, variables[item.tone])
        )


def _tone(entry: LogEntry) -> str:
    match entry.item:
        case Step():
            return "muted"
        case Judged(passed=passed):
            return "success" if passed else "error"
        case Reported(verdict=verdict):
            return "success" if verdict in ("published", "practised") else "error"
    return "foreground"
