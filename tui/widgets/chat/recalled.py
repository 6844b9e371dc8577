"""The line under a message that lists the differences recalled for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.widgets import Static

from memory.difference import CONTRAST_LABELS, SCOPE_LABELS, STANDING, Difference
from memory.i18n.interface_language import decimal, tr, trn
from memory.kinds import in_words
from memory.reply_rules import CheckedRule, rules_of
from tui.terminal.sanitize import clean, one_line, padded


@dataclass(frozen=True, slots=True)
class Used:
    """A recalled difference; its score and matched words are only known in the session of the reply.

    `rules` are its rules, checked on the reply.
    """

    difference: Difference
    score: float | None = None
    matched: tuple[str, ...] = ()
    rules: tuple[CheckedRule, ...] = ()


class RecalledLine(Static):
    """One dim line that expands to a list of the differences; hidden if there are none."""

    DEFAULT_CSS = """
    RecalledLine {
        height: auto;
        display: none;
        padding-left: 2;
        color: $muted;
        &:hover { color: $foreground; }
    }
    """

    def __init__(self, used: Sequence[Used] = ()) -> None:
        super().__init__(markup=False)
        self.used = tuple(used)
        self.open = False
        self.display = bool(used)

    def on_mount(self) -> None:
        """Draw the line."""
        self._draw()

    def on_resize(self) -> None:
        """Fit the line to the new width."""
        self._draw()

    def show(self, used: Sequence[Used]) -> None:
        """Show these differences."""
        self.used = tuple(used)
        self.display = bool(used)
        self._draw()

    def toggle(self, open: bool | None = None) -> None:
        """Open or close."""
        self.open = not self.open if open is None else open
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """Open or close."""
        event.stop()
        self.toggle()

    def _draw(self) -> None:
        if not self.used:
            return
        width = (self.size.width or self.app.size.width - 6) - 2
        head = ("◆ ", self.app.theme_variables["accent"])
        count = trn("{n} recalled", "{n} recalled", len(self.used))
        if not self.open:
            first = self.used[0].difference
            text = f"{count}: {summary(first, max(20, width - len(count) - 4))}"
            self.update(Content.assemble(head, one_line(text, max(20, width - 2))))
            return
        lines = [Content.assemble(head, count)]
        for used in self.used:
            lines += [Content(f"  {line}") for line in details(used, max(20, width - 2))]
        self.update(Content("\n").join(lines))


def summary(difference: Difference, width: int) -> str:
    """Return `asked … → sounds …` on one line of `width` columns."""
    right = difference.wanted or tr("(marked)")
    half = max(8, (width - 3) * 2 // 5)
    return one_line(f"{one_line(difference.asked, half)} → {one_line(right, width)}", width)


def details(used: Used, width: int) -> list[str]:
    """Return a difference as lines, one fact per line."""
    item = used.difference
    kind = item.kind and in_words(item.kind)
    head = " ".join(filter(None, (item.id[:8], tr(item.moment), kind, f"({tr(item.state)})")))
    if item.scope in STANDING:
        head += "  " + tr("for {scope}", scope=tr(SCOPE_LABELS[item.scope]))
    elif used.score is not None:
        score, words = decimal(f"{used.score:.2f}"), " ".join(used.matched)
        said = tr("relevance {score}, words: {words}", score=score, words=words)
        head += "  " + (said if words else tr("relevance {score}", score=score))
    lines = [one_line(head, width)]
    named = (
        ("asked", item.asked),
        ("said", item.replied),
        (CONTRAST_LABELS["missed"], item.contrast.missed),
        (CONTRAST_LABELS["lost"], item.contrast.lost),
        ("note", item.note),
        ("when", item.condition),
        ("rules", "; ".join(map(str, rules_of(item)))),
        (CONTRAST_LABELS["sounds"], item.contrast.sounds),
    )
    room = max(7, *(cell_len(tr(name)) + 1 for name, _ in named))
    for name, text in named:
        if text:
            lines.append(f"  {padded(tr(name), room)}{one_line(clean(text), width - room - 2)}")
    return lines
