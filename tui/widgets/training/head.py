"""The head of the Training screen: which training, how far the whole is, what is left, how it ended."""

from __future__ import annotations

from datetime import datetime

from rich.cells import cell_len
from rich.text import Text
from textual.content import Content
from textual.widgets import Static

from memory.i18n.i18n import decimal, tr
from memory.i18n.retold import retold
from tui.terminal.sanitize import one_line
from tui.training.log_text import VERDICTS
from tui.training.progress import bar, clock
from tui.training.remaining_time import about, left
from tui.training.run_follower import Seen

DATED = 70
"""Columns from which the day is said beside the time."""
LEAST = 8
"""Columns of a model's name under which it is left out rather than cut."""
GOOD = ("published", "practised")


class TrainingHead(Static):
    """Two lines while it goes on, three when it is over."""

    DEFAULT_CSS = """
    TrainingHead { height: auto; max-height: 5; padding: 0 1; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)

    def show(
        self, seen: Seen, elapsed: float, told: str | None, night: datetime | None, *, phase: bool
    ) -> None:
        """Show a run.

        `told` is what it was asked to do, `night` when the next one is, `phase` whether the current
        one is to be shown here.
        """
        width = max(30, self.size.width - 2)
        if seen.folder is None:
            lines = [Content(tr("Nothing was trained yet.")), self._how(night, width)]
        elif seen.alive:
            lines = [self._which(seen, told, width, phase), self._far(seen, elapsed, width)]
        else:
            lines = [self._ended(seen, width), *self._verdict(seen, width), self._how(night, width)]
        self.update(Content("\n").join(lines))

    def _which(self, seen: Seen, told: str | None, width: int, phase: bool) -> Content:
        variables, state = self.app.theme_variables, seen.state
        right = {
            "stop": tr("stopping; the best is tested…"),
            "abort": tr("aborting; nothing of it stays…"),
        }.get(told or "", tr("begun {at}", at=_at(seen)[-5:] if width < DATED else _at(seen)))
        name = tr("◆ training")
        more = [state.model] if state.model else []
        if state.tries and state.planned > 1:
            last = state.tries[-1]
            numbers = tr("try {number} of {all}", number=last.number, all=state.planned)
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

    def _far(self, seen: Seen, elapsed: float, width: int) -> Content:
        variables = self.app.theme_variables
        share = seen.state.progress.share
        text = f"{share:4.0%}  {clock(elapsed)}{_left(seen, elapsed)}"
        room = max(6, width - cell_len(text) - 2)
        line = bar(share, room)
        full = line.count("█")
        return Content.assemble(
            (line[:full], variables["accent"]),
            (line[full:], variables["line"]),
            (f"  {text}", variables["foreground"]),
        )

    def _ended(self, seen: Seen, width: int) -> Content:
        variables, state = self.app.theme_variables, seen.state
        verdict = tr(VERDICTS.get(state.verdict, state.verdict)) if state.ended else tr("cut off")
        good = state.verdict in GOOD
        facts = [tr("begun {at}", at=_at(seen)), tr("took {time}", time=clock(state.at))]
        facts += [state.model] if state.model else []
        head = f"{'✓' if good else '✗'} {one_line(verdict, 20)}"
        rest = one_line(" · ".join(facts), max(8, width - cell_len(head) - 2))
        return Content.assemble(
            (head, f"bold {variables['success' if good else 'error']}"),
            (f"  {rest}", variables["muted"]),
        )

    def _verdict(self, seen: Seen, width: int) -> list[Content]:
        """Return the verdict's sentence in two lines at most."""
        state = seen.state
        text = retold(state.sentence) or tr(
            "Its process ended without a word; what served before serves on."
        )
        text = text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
        lines = [line.plain.rstrip() for line in Text(one_line(text)).wrap(self.app.console, width)]
        if len(lines) > 2:
            lines = [lines[0], one_line(" ".join(lines[1:]), width)]
        return [Content(line) for line in lines]

    def _how(self, night: datetime | None, width: int) -> Content:
        """How to go on from here."""
        if night is None:
            text = tr("Nothing trains now; /train begins one. Nights are off.")
        else:
            at = f"{night:%H:%M}"
            text = tr("Nothing trains now; /train begins one, the next night is at {at}.", at=at)
        return Content.styled(one_line(text, width), self.app.theme_variables["muted"])


def _fitted(facts: list[str], room: int) -> str:
    """Return as many facts as there is room for; the last is cut where enough of it is left."""
    line = " · ".join(facts)
    if len(facts) < 2 or cell_len(line) - cell_len(facts[-1]) + LEAST <= room:
        return one_line(line, room)
    facts = facts[:-1]
    while len(facts) > 1 and cell_len(" · ".join(facts)) > room:
        facts = facts[:-1]
    return one_line(" · ".join(facts), room)


def _at(seen: Seen) -> str:
    return f"{seen.began.astimezone():%Y-%m-%d %H:%M}" if seen.began else "?"


def _left(seen: Seen, elapsed: float) -> str:
    """Return the remaining time in words; nothing where it is not known."""
    state = seen.state
    known = left(state, seen.past, elapsed)
    if known.whole is None:
        return ""
    said = tr("{time} left", time=about(known.whole))
    last = state.tries[-1] if state.tries else None
    more = last is None or (last.number < state.planned and last.passed is None)
    if more and state.planned > 1 and not state.practice:
        said = tr("{left} if this try passes", left=said)
    return f" · {said}"
