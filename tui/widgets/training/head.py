"""Head of the Training screen: which run, its progress and time left, or how it ended."""

from __future__ import annotations

from datetime import datetime

from rich.cells import cell_len
from rich.text import Text
from textual.content import Content
from textual.widgets import Static

from memory.i18n.interface_language import decimal, render, tr
from tui.terminal.sanitize import one_line
from tui.training.log_text import VERDICTS
from tui.training.progress import bar, clock
from tui.training.remaining_time import estimate, rough_time
from tui.training.run_follower import RunView
from tui.views.error_text import full_sentence

DATED = 70
"""Columns from which the start has a date as well as a time."""
MIN_NAME_COLUMNS = 8
"""Columns below which a model's name is left out instead of cut."""
GOOD = ("published", "practised")


class TrainingHead(Static):
    """Two lines while the run is in progress, three when it has ended."""

    DEFAULT_CSS = """
    TrainingHead { height: auto; max-height: 5; padding: 0 1; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)

    def show(
        self,
        view: RunView,
        elapsed: float,
        told: str | None,
        night: datetime | None,
        *,
        phase: bool,
    ) -> None:
        """Show a run.

        `told` is "stop" or "abort" if that was requested, `night` the time of the next night, and
        `phase` says whether to name the current phase.
        """
        width = max(30, self.size.width - 2)
        if view.folder is None:
            lines = [Content(tr("No training has run yet.")), self._next(night, width)]
        elif view.alive:
            lines = [
                self._running_line(view, told, width, phase),
                self._progress_line(view, elapsed, width),
            ]
        else:
            lines = [
                self._ended(view, width),
                *self._verdict(view, width),
                self._next(night, width),
            ]
        self.update(Content("\n").join(lines))

    def _running_line(self, view: RunView, told: str | None, width: int, phase: bool) -> Content:
        variables, state = self.app.theme_variables, view.state
        right = {
            "stop": tr("stopping; evaluating the best…"),
            "abort": tr("aborting; discarding everything…"),
        }.get(told or "", tr("since {at}", at=_at(view)[-5:] if width < DATED else _at(view)))
        name = tr("◆ training")
        more = [state.model] if state.model else []
        if state.trials and state.planned > 1:
            last = state.trials[-1]
            numbers = tr("attempt {number} of {all}", number=last.number, all=state.planned)
            more = [numbers, tr("rate {rate}", rate=decimal(f"{last.rate:g}")), *more]
        if phase:
            more = [state.progress.label, *more]
        facts = _fitted(more, max(4, width - cell_len(name + right) - 6))
        gap = max(1, width - cell_len(name + facts + right) - 2)
        return Content.assemble(
            (name, f"bold {variables['accent']}"),
            (f"  {facts}{' ' * gap}", variables["foreground"]),
            (right, variables["accent" if told else "muted"]),
        )

    def _progress_line(self, view: RunView, elapsed: float, width: int) -> Content:
        variables = self.app.theme_variables
        share = view.state.progress.share
        text = f"{share:4.0%}  {clock(elapsed)}{_left(view, elapsed)}"
        room = max(6, width - cell_len(text) - 2)
        line = bar(share, room)
        full = line.count("█")
        return Content.assemble(
            (line[:full], variables["accent"]),
            (line[full:], variables["line"]),
            (f"  {text}", variables["foreground"]),
        )

    def _ended(self, view: RunView, width: int) -> Content:
        variables, state = self.app.theme_variables, view.state
        verdict = (
            tr(VERDICTS.get(state.verdict, state.verdict)) if state.ended else tr("interrupted")
        )
        good = state.verdict in GOOD
        facts = [tr("started {at}", at=_at(view)), tr("took {time}", time=clock(state.at))]
        facts += [state.model] if state.model else []
        head = f"{'✓' if good else '✗'} {one_line(verdict, 20)}"
        rest = one_line(" · ".join(facts), max(8, width - cell_len(head) - 2))
        return Content.assemble(
            (head, f"bold {variables['success' if good else 'error']}"),
            (f"  {rest}", variables["muted"]),
        )

    def _verdict(self, view: RunView, width: int) -> list[Content]:
        """Return the verdict's sentence in at most two lines."""
        state = view.state
        text = render(state.sentence) or tr(
            "The training process ended without a report. The current adapter is unchanged."
        )
        wrapped = Text(one_line(full_sentence(text))).wrap(self.app.console, width)
        lines = [line.plain.rstrip() for line in wrapped]
        if len(lines) > 2:
            lines = [lines[0], one_line(" ".join(lines[1:]), width)]
        return [Content(line) for line in lines]

    def _next(self, night: datetime | None, width: int) -> Content:
        """Return how to start the next training."""
        if night is None:
            text = tr("No training is running. Start one with /train. Nightly training is off.")
        else:
            at = f"{night:%H:%M}"
            text = tr(
                "No training is running. Start one with /train. Next nightly training: {at}.", at=at
            )
        return Content.styled(one_line(text, width), self.app.theme_variables["muted"])


def _fitted(facts: list[str], room: int) -> str:
    """Return as many facts as fit; the last is cut if MIN_NAME_COLUMNS columns of it remain."""
    line = " · ".join(facts)
    if len(facts) < 2 or cell_len(line) - cell_len(facts[-1]) + MIN_NAME_COLUMNS <= room:
        return one_line(line, room)
    facts = facts[:-1]
    while len(facts) > 1 and cell_len(" · ".join(facts)) > room:
        facts = facts[:-1]
    return one_line(" · ".join(facts), room)


def _at(view: RunView) -> str:
    return f"{view.began.astimezone():%Y-%m-%d %H:%M}" if view.began else "?"


def _left(view: RunView, elapsed: float) -> str:
    """Return the time left in words; "" if it is unknown."""
    state = view.state
    known = estimate(state, elapsed)
    if known.whole is None:
        return ""
    said = tr("{time} left", time=rough_time(known.whole))
    last = state.trials[-1] if state.trials else None
    more = last is None or (last.number < state.planned and last.passed is None)
    if more and state.planned > 1 and not state.practice:
        said = tr("{left} if this attempt passes", left=said)
    return f" · {said}"
