"""What a training goes through, as a list: what is done and how long it took, what is under way."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.widgets import Static

from memory.i18n.i18n import decimal, tr
from tui.terminal.sanitize import one_line
from tui.training.progress import PHASES, clock
from tui.training.run_follower import Seen
from tui.training.state import STAGES, StageSpan, TrainingState


class Phases(Static):
    """A row a stage."""

    DEFAULT_CSS = """
    Phases { height: auto; width: 40; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)

    def show(self, seen: Seen, attempt: int, elapsed: float) -> None:
        """Show where the run stands, its tries' stages as `attempt` went through them."""
        width = max(16, self.content_size.width or 38)
        rows = (self._row(*row, width) for row in _rows(seen, attempt, elapsed))
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


def _rows(seen: Seen, attempt: int, elapsed: float) -> Iterator[tuple[str, str, str]]:
    """Yield (sign, label, what stands at the right) of each stage."""
    state = seen.state
    for stage in STAGES:
        span = state.span(stage, attempt)
        if span is None and stage == "room":
            continue
        yield _sign(seen, span), tr(PHASES[_named(stage, state)]), _right(seen, span, elapsed)


def _named(stage: str, state: TrainingState) -> str:
    """Return the name of a stage; a run that publishes nothing ends with its report."""
    judged = state.verdict not in ("", "published", "failed")
    return "report" if stage == "publish" and judged else stage


def _sign(seen: Seen, span: StageSpan | None) -> str:
    if span is None:
        return "·" if seen.alive else "–"
    if span.ended is not None:
        return "✓"
    return "▸" if seen.alive else "✗"


def _right(seen: Seen, span: StageSpan | None, elapsed: float) -> str:
    if span is None:
        return ""
    if span.ended is not None:
        return lasted(span.ended - span.began)
    counted = f"{decimal(f'{span.done:,}/{span.total:,}')}  " if span.total else ""
    return counted + clock((elapsed if seen.alive else span.last) - span.began)


def lasted(seconds: float) -> str:
    """Return how long something took, the finer the shorter it was."""
    return tr("{n} s", n=decimal(f"{seconds:.1f}")) if seconds < 60 else clock(seconds)
