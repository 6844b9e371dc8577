"""Curves of a trial: the loss, and the share of wordings answered correctly."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.widgets import Static

from memory.i18n.interface_language import decimal, tr, trn
from tui.terminal.sanitize import one_line
from tui.training.plots import draw_curve, spans_magnitudes
from tui.training.trials import TrialState

BESIDE = 70
"""Columns from which both curves are side by side; below, only the loss is shown."""
LABEL_COLUMNS = 6
"""Columns for the labels of the vertical axis."""


class LossPlot(Static):
    """Two curves and a line of figures."""

    DEFAULT_CSS = """
    LossPlot { width: 1fr; height: 100%; padding: 0 1; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)

    def show(self, trial: TrialState | None, *, several: bool) -> None:
        """Show a trial, with its number if there are several; None before the first."""
        width, height = self.content_size
        if width < 24 or height < 4:
            self.update("")
            return
        muted = self.app.theme_variables["muted"]
        if trial is None or not trial.loss.points:
            self.update(Content.styled(tr("Curves appear after the first steps."), muted))
            return
        loss, learnt = trial.loss.points, trial.learnt.points
        title = tr("loss {loss}", loss=decimal(f"{loss[-1]:.2f}"))
        if several:
            title = f"{tr('attempt {number}', number=trial.number)} · {title}"
        share = tr("learnt {share}", share=f"{learnt[-1]:.0%}")
        if width >= BESIDE:
            half = (width - 3) // 2
            left = self._plot(title, loss, half, height - 1)
            right = self._plot(share, learnt, half, height - 1, top=1.0)
            lines = [Content.assemble(a, "   ", b) for a, b in zip(left, right, strict=True)]
        else:
            lines = self._plot(f"{title} · {share}", loss, width, height - 1)
        lines.append(Content.styled(one_line(_facts(trial), width), muted))
        self.update(Content("\n").join(lines))

    def _plot(
        self, title: str, values: Sequence[float], width: int, height: int, top: float = 0.0
    ) -> list[Content]:
        """Return a curve below its title; the loss is logarithmic if it spans a large range."""
        variables = self.app.theme_variables
        most, least = (top, 0.0) if top else (max(values), min(0.0, *values))
        drawn, low, high = values, least, most
        if not top and spans_magnitudes(values):
            least = min(values)
            drawn = [math.log(value) for value in values]
            low, high = math.log(least), math.log(most)
        rows = draw_curve(drawn, width - LABEL_COLUMNS, height - 1, low, high)
        marks = {0: _mark(most, bool(top)), len(rows) - 1: _mark(least, bool(top))}
        lines = [Content(set_cell_size(title, width))]
        for number, row in enumerate(rows):
            mark = marks.get(number, "").rjust(LABEL_COLUMNS - 1)
            lines.append(
                Content.assemble((f"{mark} ", variables["muted"]), (row, variables["accent"]))
            )
        return lines


def _mark(value: float, share: bool) -> str:
    text = f"{value:.0%}" if share else decimal(f"{value:.2g}")
    return text if cell_len(text) < LABEL_COLUMNS else f"{value:.0e}"


def _facts(trial: TrialState) -> str:
    step, steps = decimal(f"{trial.step:,}"), decimal(f"{trial.steps:,}")
    facts = [tr("step {step} of {steps}", step=step, steps=steps)]
    if trial.speed:
        facts.append(tr("{speed} tok/s", speed=decimal(f"{trial.speed:,.0f}")))
    if trial.memory_mb:
        facts.append(tr("{size} MiB", size=decimal(f"{trial.memory_mb:,.0f}")))
    if trial.threads:
        facts.append(trn("{n} thread", "{n} threads", trial.threads))
    if trial.precision:
        facts.append(trial.precision)
    return " · ".join(facts)
