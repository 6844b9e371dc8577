"""What happened in a training, in words with the time; its end stays in sight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from rich.text import Text

from memory.i18n.i18n import tr
from trainer.events import Judged, Reported, Step
from tui.training.log_text import said
from tui.training.progress import clock
from tui.training.run_follower import Seen, Taught
from tui.training.state import Entry
from tui.widgets.common.rows import Rows
from tui.widgets.training.lesson_rows import named


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log: the time where an entry begins, its words, their colour."""

    at: str
    words: str
    tone: str


class TrainingLog(Rows[Line]):
    """An entry after the other, broken to the width."""

    FOLLOWS = True

    def __init__(self) -> None:
        super().__init__(self._row, id="log")
        self.border_title = tr("log")
        self._made: object = None
        self._log: tuple[Entry, ...] = ()
        self._broken: list[Line] = []

    def begin(self, seen: Seen, taught: Mapping[str, Taught]) -> None:
        """Show the log of a run."""
        log, known = seen.state.log, len(self._log)
        made = (seen.folder, self.scrollable_content_region.width, seen.taught)
        if (made, log) == (self._made, self._log):
            return
        if made != self._made or log[:known] != self._log:
            known, self._broken = 0, []
        self._made, self._log = made, log
        self._broken += [line for entry in log[known:] for line in self._lines(entry, seen, taught)]
        self.show(self._broken)

    def _lines(self, entry: Entry, seen: Seen, taught: Mapping[str, Taught]) -> list[Line]:
        at = clock(entry.at)
        if seen.began is not None:
            at = f"{(seen.began + timedelta(seconds=entry.at)).astimezone():%H:%M:%S}"
        words = Text(said(entry, lambda difference, kind: named(difference, kind, taught)))
        room = max(16, self.scrollable_content_region.width - len(at) - 2)
        lines = words.wrap(self.app.console, room)
        times = [at, *[" " * len(at)] * (len(lines) - 1)]
        return [
            Line(time, line.plain.rstrip(), _tone(entry))
            for time, line in zip(times, lines, strict=True)
        ]

    def _row(self, item: Line, width: int) -> Text:
        """Return the time and the words."""
        variables = self.app.theme_variables
        return Text.assemble(
            (f"{item.at}  ", variables["muted"]), (item.words, variables[item.tone])
        )


def _tone(entry: Entry) -> str:
    match entry.item:
        case Step():
            return "muted"
        case Judged(passed=passed):
            return "success" if passed else "error"
        case Reported(verdict=verdict):
            return "success" if verdict in ("published", "practised") else "error"
    return "foreground"
