"""The curves of a try: the loss, and the share of the wordings that come out right."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.widgets import Static

from memory.i18n.i18n import decimal, tr, trn
from tui.terminal.sanitize import one_line
from tui.training.plots import curve, logarithmic
from tui.training.tries import Try

BESIDE = 70
"""Columns from which both curves stand beside each other; else the loss alone."""
LABEL = 6
"""Columns before a curve, for what it rises to."""


class LossPlot(Static):
    """Two curves, and a line on how it goes."""

    DEFAULT_CSS = """
    LossPlot { width: 1fr; height: 100%; padding: 0 1; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)

    def show(self, tried: Try | None, *, several: bool) -> None:
        """Show a try, its number where there are several; None while none has begun."""
        width, height = self.content_size
        if width < 24 or height < 4:
            self.update("")
            return
        muted = self.app.theme_variables["muted"]
        if tried is None or not tried.loss.points:
            self.update(Content.styled(tr("The curves come with the first steps."), muted))
            return
        loss, learnt = tried.loss.points, tried.learnt.points
        title = tr("loss {loss}", loss=decimal(f"{loss[-1]:.2f}"))
        if several:
            title = f"{tr('try {number}', number=tried.number)} · {title}"
        share = tr("learnt {share}", share=f"{learnt[-1]:.0%}")
        if width >= BESIDE:
            half = (width - 3) // 2
            left = self._plot(title, loss, half, height - 1)
            right = self._plot(share, learnt, half, height - 1, top=1.0)
            lines = [Content.assemble(a, "   ", b) for a, b in zip(left, right, strict=True)]
        else:
            lines = self._plot(f"{title} · {share}", loss, width, height - 1)
        lines.append(Content.styled(one_line(_facts(tried), width), muted))
        self.update(Content("\n").join(lines))

    def _plot(
        self, title: str, values: Sequence[float], width: int, height: int, top: float = 0.0
    ) -> list[Content]:
        """Return a curve under its title; the loss by its logarithm when it falls far."""
        variables = self.app.theme_variables
        most, least = (top, 0.0) if top else (max(values), min(0.0, *values))
        drawn, low, high = values, least, most
        if not top and logarithmic(values):
            least = min(values)
            drawn = [math.log(value) for value in values]
            low, high = math.log(least), math.log(most)
        rows = curve(drawn, width - LABEL, height - 1, low, high)
        marks = {0: _mark(most, bool(top)), len(rows) - 1: _mark(least, bool(top))}
        lines = [Content(set_cell_size(title, width))]
        for number, row in enumerate(rows):
            mark = marks.get(number, "").rjust(LABEL - 1)
            lines.append(
                Content.assemble((f"{mark} ", variables["muted"]), (row, variables["accent"]))
            )
        return lines


def _mark(value: float, share: bool) -> str:
    text = f"{value:.0%}" if share else decimal(f"{value:.2g}")
    return text if cell_len(text) < LABEL else f"{value:.0e}"


def _facts(tried: Try) -> str:
    step, steps = decimal(f"{tried.step:,}"), decimal(f"{tried.steps:,}")
    facts = [tr("step {step} of {steps}", step=step, steps=steps)]
    if tried.speed:
        facts.append(tr("{speed} tok/s", speed=decimal(f"{tried.speed:,.0f}")))
    if tried.memory_mb:
        facts.append(tr("{size} MiB", size=decimal(f"{tried.memory_mb:,.0f}")))
    if tried.threads:
        facts.append(trn("{n} thread", "{n} threads", tried.threads))
    if tried.precision:
        facts.append(tried.precision)
    return " · ".join(facts)
