"""List of a training's stages, with the time each took and the progress of the current one."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.widgets import Static

from memory.i18n.interface_language import decimal, tr
from trainer.stages import PER_TRIAL, STAGES
from tui.terminal.sanitize import one_line
from tui.training.progress import PHASES, clock
from tui.training.run_follower import RunView
from tui.training.state import StageSpan, TrainingView


class Phases(Static):
    """One row per stage."""

    DEFAULT_CSS = """
    Phases { height: auto; width: 40; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)

    def show(self, view: RunView, attempt: int, elapsed: float) -> None:
        """Show the stages of a run; those repeated for each trial as in trial number `attempt`."""
        width = max(16, self.content_size.width or 38)
        rows = (self._row(*row, width) for row in _rows(view, attempt, elapsed))
        self.update(Content("\n").join(rows))

    def _row(self, sign: str, label: str, right: str, width: int) -> Content:
        variables = self.app.theme_variables
        tone = {"✓": "success", "▸": "accent", "✗": "error"}.get(sign, "muted")
        room = max(4, width - cell_len(right) - 3)
        label = set_cell_size(one_line(label, room), room)
        words = variables["accent"] if sign == "▸" else variables["foreground"]
        if tone == "muted":
            words = variables["muted"]
        return Content.assemble(
            (f"{sign} ", variables[tone]), (label, words), (f" {right}", variables["muted"])
        )


def _rows(view: RunView, attempt: int, elapsed: float) -> Iterator[tuple[str, str, str]]:
    """Yield (sign, label, text at the right) of each stage."""
    state = view.state
    for stage in STAGES:
        span = state.span(stage, attempt)
        if span is None and stage == "room":
            continue
        right = _right(view, span, elapsed) if span else _expected(view, stage)
        yield _sign(view, span), tr(PHASES[_phase_of(stage, state)]), right


def _phase_of(stage: str, state: TrainingView) -> str:
    """Return the phase that names a stage; a run that publishes nothing ends with its report."""
    judged = state.verdict not in ("", "published", "failed")
    return "report" if stage == "publish" and judged else stage


def _sign(view: RunView, span: StageSpan | None) -> str:
    if span is None:
        return "·" if view.alive else "–"
    if span.ended is not None:
        return "✓"
    return "▸" if view.alive else "✗"


def _expected(view: RunView, stage: str) -> str:
    """Return how long a stage that has not begun is expected to take; "" if it is not known."""
    told = view.state.estimate
    if told is None or not view.alive or told.stages.get(stage, 0.0) < 1:
        return ""
    tries = max(1, told.tries) if stage in PER_TRIAL else 1
    return f"~{clock(told.stages[stage] / tries)}"


def _right(view: RunView, span: StageSpan, elapsed: float) -> str:
    if span.ended is not None:
        return duration(span.ended - span.began)
    counted = f"{decimal(f'{span.done:,}/{span.total:,}')}  " if span.total else ""
    return counted + clock((elapsed if view.alive else span.last) - span.began)


def duration(seconds: float) -> str:
    """Format a duration: tenths of a second below one minute, then m:ss."""
    return tr("{n} s", n=decimal(f"{seconds:.1f}")) if seconds < 60 else clock(seconds)
