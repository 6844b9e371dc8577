"""The card with the differences recalled for a reply, and keys to pin or forget each.

A difference to forget is struck out and forgotten when the card closes; until then, the same key
restores it. Pinning takes effect immediately.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from memory.difference import SCOPE_LABELS, STANDING
from memory.i18n.interface_language import decimal, tr
from tui.keys.bindings import bindings
from tui.terminal.sanitize import one_line
from tui.widgets.chat.recalled import Used, summary


class WhyCard(Static, can_focus=True):
    """The differences recalled for one turn."""

    DEFAULT_CSS = """
    WhyCard {
        height: auto;
        margin: 1 2 0 2;
        padding: 0 1;
        background: $panel;
        border-left: thick $muted;
        &:focus { border-left: thick $accent; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("why")]

    class Pinned(Message):
        """The user wants to pin or unpin a difference."""

        def __init__(self, card: WhyCard, difference: str, on: bool) -> None:
            super().__init__()
            self.card, self.difference, self.on = card, difference, on

    class Closed(Message):
        """The card was closed; the differences with these ids are to be forgotten."""

        def __init__(self, card: WhyCard, forgotten: Sequence[str]) -> None:
            super().__init__()
            self.card, self.forgotten = card, tuple(forgotten)

    def __init__(self, asked: str, used: Sequence[Used], aside: str = "") -> None:
        super().__init__(markup=False)
        self.used = list(used)
        self.asked, self._aside = asked, aside
        self.struck: set[str] = set()
        self.cursor = 0
        self._left = False

    def on_mount(self) -> None:
        """Draw the card and focus it."""
        self._draw()
        # Not yet laid out, scrolling it into view would scroll to the top of the talk.
        self.focus(scroll_visible=False)

    def on_resize(self) -> None:
        """Fit the lines to the new width."""
        self._draw()

    def on_blur(self, event: events.Blur) -> None:
        """Close when the focus moves within the application."""
        if self.app.app_focus:
            self.action_leave()

    def change(self, used: Used) -> None:
        """Show a changed difference."""
        at = [item.difference.id for item in self.used].index(used.difference.id)
        self.used[at] = used
        self._draw()

    def action_move(self, step: int) -> None:
        """Move to another row."""
        self.cursor = max(0, min(len(self.used) - 1, self.cursor + step))
        self._draw()

    def action_pin(self) -> None:
        """Pin or unpin the difference."""
        item = self.used[self.cursor].difference
        self.post_message(self.Pinned(self, item.id, not item.pinned))

    def action_strike(self) -> None:
        """Strike the difference out, or restore it."""
        self.struck ^= {self.used[self.cursor].difference.id}
        self._draw()

    def action_leave(self) -> None:
        """Close the card; differences that are struck out are forgotten."""
        if not self._left:
            self._left = True
            self.post_message(self.Closed(self, sorted(self.struck)))

    def _draw(self) -> None:
        width = max(24, (self.size.width or self.app.size.width - 6) - 2)
        accent, error = self.app.theme_variables["accent"], self.app.theme_variables["error"]
        muted = self.app.theme_variables["muted"]
        rows: list[Content] = [
            Content(one_line(tr("Recalled for “{asked}”", asked=self.asked), width))
        ]
        for number, used in enumerate(self.used):
            item, here = used.difference, number == self.cursor
            gone = item.id in self.struck
            sign = "✗" if gone else "◆"
            head = f"{item.id[:8]}  {item.at.astimezone():%Y-%m-%d}  {tr(item.moment)}"
            head += f" ({tr(item.state)})" + (" " + tr("pinned") if item.pinned else "")
            rows.append(
                Content.assemble(
                    ("› " if here else "  ", accent),
                    (f"{sign} ", error if gone else accent),
                    (one_line(head, width - 4), "strike" if gone else "bold" if here else ""),
                )
            )
            rows.append(Content("    " + one_line(fit_of(used), width - 4)).stylize(muted))
            text = (
                tr("forgotten when you close the card · f undo")
                if gone
                else summary(item, width - 4)
            )
            rows.append(
                Content("    " + one_line(text, width - 4)).stylize(error if gone else muted)
            )
        if self._aside:
            rows.append(Content(one_line(self._aside, width)).stylize(muted))
        keys = tr("↑ ↓ choose · p pin · f forget · Esc close")
        rows.append(Content(one_line(keys, width)).stylize(muted))
        self.update(Content("\n").join(rows))


def fit_of(used: Used) -> str:
    """Return how well a difference matched, by which words, and what the reply made of its rules."""
    rules = "".join(f" · {'✓' if rule.kept else '✗'} {rule.line}" for rule in used.rules)
    return _fit(used) + rules


def _fit(used: Used) -> str:
    if used.difference.scope in STANDING:
        return tr("for {scope}", scope=tr(SCOPE_LABELS[used.difference.scope]))
    if used.score is None:
        return tr("relevance not known")
    words = " ".join(used.matched)
    score = decimal(f"{used.score:.2f}")
    if words:
        return tr("relevance {score}, words: {words}", score=score, words=words)
    return tr("relevance {score}, no shared words", score=score)
