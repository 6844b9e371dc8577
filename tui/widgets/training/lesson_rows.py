"""How each lesson stands, the worst first: how many of its wordings come out right by now."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.text import Text

from memory.i18n.i18n import tr, trn
from tui.terminal.sanitize import one_line
from tui.training.progress import sparkline
from tui.training.run_follower import Taught
from tui.training.tries import LessonState, Try
from tui.views.mark_status import FAMILIES
from tui.widgets.common.rows import Rows

SPARK, BAR = 8, 10
ROOMY = 56
"""Columns from which a row also tells how it came, and which difference it is."""
WITH_REPLY = 100
"""Columns from which a row also tells what should be said."""


class LessonRows(Rows[LessonState]):
    """A row a lesson."""

    def __init__(self) -> None:
        super().__init__(self._row, id="lessons")
        self._taught: Mapping[str, Taught] = {}

    def show(self, items: Sequence[LessonState]) -> None:
        """Show these, in no more room than they take."""
        self.styles.max_height = max(2, len(items) + 1)
        super().show(items)

    def begin(self, tried: Try | None, taught: Mapping[str, Taught], lessons: int) -> None:
        """Show the lessons of a try, or how many there will be."""
        self._taught = taught
        if tried is None or not tried.lessons:
            some = trn("{n} lesson", "{n} lessons", lessons) if lessons else tr("lessons")
            self.border_title = some
            self.show(())
            return
        total = trn("{n} lesson", "{n} lessons", len(tried.lessons))
        tested = any(lesson.said is not None for lesson in tried.lessons)
        right = (
            tr("{right} said right by the file that was tested", right=tried.good)
            if tested
            else trn("{n} comes out right", "{n} come out right", tried.good)
        )
        self.border_title = f"{total}, {right} · {tr('worst first')}"
        self.show(sorted(tried.lessons, key=lambda lesson: lesson.rank))

    def _row(self, item: LessonState, width: int) -> Text:
        """Sign, course, bar, count, difference, question and, with room, the reply."""
        variables = self.app.theme_variables
        muted = variables["muted"]
        seen = item.margin is not None or bool(item.course.points)
        sign, tone = ("✓", "success") if item.good else ("✗", "error") if seen else ("·", "muted")
        taught, roomy = self._taught.get(item.difference), width >= ROOMY
        spark = sparkline(item.course.points, SPARK, 1.0)
        full = math.floor(item.share * BAR)  # a full bar has all of them
        count = f"{item.right}/{item.wordings}"
        line = Text.assemble(
            (f"{sign} ", variables[tone]),
            (f"{spark:<{SPARK}} " if roomy else "", muted),
            ("█" * full, variables["accent"]),
            ("░" * (BAR - full), variables["line"]),
            (f" {count:>5} ", muted),
            (f" {one_line(item.difference)[:8]:<8} " if roomy else "", self._family(taught)),
        )
        room = max(8, width - line.cell_len - 1)
        line.append(f" {one_line(named(item.difference, item.kind, self._taught), room)}")
        if taught is not None and item.kind != "naming" and width >= WITH_REPLY:
            rest = width - line.cell_len - 4
            if rest > 8:
                line.append(f"  → {one_line(taught.sounds, rest)}", muted)
        return line

    def _family(self, taught: Taught | None) -> str:
        """Return the color of the difference's family."""
        pair = FAMILIES.get((taught.kind or "").partition("/")[0]) if taught else None
        if pair is None:
            return self.app.theme_variables["muted"]
        return pair[0] if self.app.current_theme.dark else pair[1]


def named(difference: str, kind: str, taught: Mapping[str, Taught]) -> str:
    """Return what a lesson asks; a lesson that names the break says so."""
    found = taught.get(difference)
    asked = tr("(forgotten since)") if found is None else found.asked
    if kind == "naming":
        return tr("(names the break) {asked}", asked=asked)
    return asked
