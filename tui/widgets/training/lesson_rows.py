"""Results of each lesson, worst first: how many of its wordings are answered correctly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.text import Text

from memory.i18n.interface_language import tr, trn
from tui.terminal.sanitize import one_line
from tui.training.progress import sparkline
from tui.training.run_follower import LessonText
from tui.training.trials import LessonState, TrialState
from tui.views.mark_status import FAMILIES
from tui.widgets.common.rows import Rows

SPARK, BAR = 8, 10
ROOMY = 56
"""Columns from which a row also has the history and the difference's id."""
WITH_REPLY = 100
"""Columns from which a row also has the expected reply."""


class LessonRows(Rows[LessonState]):
    """A list with one row per lesson."""

    def __init__(self) -> None:
        super().__init__(self._row, id="lessons")
        self._texts: Mapping[str, LessonText] = {}

    def show(self, items: Sequence[LessonState]) -> None:
        """Show these lessons, in no more rows than they need."""
        self.styles.max_height = max(2, len(items) + 1)
        super().show(items)

    def begin(
        self, trial: TrialState | None, texts: Mapping[str, LessonText], lessons: int
    ) -> None:
        """Show the lessons of a trial; before the first trial, only their number."""
        self._texts = texts
        if trial is None or not trial.lessons:
            some = trn("{n} lesson", "{n} lessons", lessons) if lessons else tr("lessons")
            self.border_title = some
            self.show(())
            return
        total = trn("{n} lesson", "{n} lessons", len(trial.lessons))
        tested = any(lesson.reproduced is not None for lesson in trial.lessons)
        right = (
            tr("{right} correct in the evaluation", right=trial.good)
            if tested
            else trn("{n} correct", "{n} correct", trial.good)
        )
        self.border_title = f"{total}, {right} · {tr('worst first')}"
        self.show(sorted(trial.lessons, key=lambda lesson: lesson.rank))

    def _row(self, item: LessonState, width: int) -> Text:
        """Return sign, history, bar, count, difference, question and, if there is room, the reply."""
        variables = self.app.theme_variables
        muted = variables["muted"]
        seen = item.margin is not None or bool(item.curve.points)
        sign, tone = ("✓", "success") if item.good else ("✗", "error") if seen else ("·", "muted")
        text, roomy = self._texts.get(item.difference), width >= ROOMY
        spark = sparkline(item.curve.points, SPARK, 1.0)
        full = math.floor(item.share * BAR)  # full only if all are right
        count = f"{item.right}/{item.wordings}"
        line = Text.assemble(
            (f"{sign} ", variables[tone]),
            (f"{spark:<{SPARK}} " if roomy else "", muted),
            ("█" * full, variables["accent"]),
            ("░" * (BAR - full), variables["line"]),
            (f" {count:>5} ", muted),
            (f" {one_line(item.difference)[:8]:<8} " if roomy else "", self._family(text)),
        )
        room = max(8, width - line.cell_len - 1)
        line.append(f" {one_line(named(item.difference, item.kind, self._texts), room)}")
        if text is not None and item.kind != "naming" and width >= WITH_REPLY:
            rest = width - line.cell_len - 4
            if rest > 8:
                line.append(f"  → {one_line(text.sounds, rest)}", muted)
        return line

    def _family(self, text: LessonText | None) -> str:
        """Return the color of the difference's family."""
        pair = FAMILIES.get((text.kind or "").partition("/")[0]) if text else None
        if pair is None:
            return self.app.theme_variables["muted"]
        return pair[0] if self.app.current_theme.dark else pair[1]


def named(difference: str, kind: str, texts: Mapping[str, LessonText]) -> str:
    """Return the question of a lesson, marked if the lesson is to name the mistake."""
    found = texts.get(difference)
    asked = tr("(since forgotten)") if found is None else found.asked
    if kind == "naming":
        return tr("(name the mistake) {asked}", asked=asked)
    return asked
