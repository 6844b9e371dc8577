"""The reasoning before a reply: one dim line, unfolded by a click or a key."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from memory.i18n.interface_language import trn
from tui.markdown.incremental import IncrementalParser
from tui.markdown.view import MarkdownView
from tui.terminal.sanitize import one_line

TAIL = 200
"""Maximum number of characters in the folded line: the end of the reasoning."""


class ThoughtLine(Vertical):
    """The reasoning of one reply, folded at first; hidden if there is none. It is not stored."""

    DEFAULT_CSS = """
    ThoughtLine {
        height: auto;
        display: none;
        padding-left: 2;
        color: $muted;
        &:hover { color: $foreground; }
        & > Static { height: auto; }
        & > MarkdownView { display: none; }
        &.-open > MarkdownView { display: block; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.open = False
        self._growing = IncrementalParser()
        self._words = 0
        self._line = Static("", markup=False)
        self._page = MarkdownView()

    def compose(self) -> ComposeResult:
        """Compose the line and the full text."""
        yield self._line
        yield self._page

    @property
    def text(self) -> str:
        """The reasoning so far."""
        return self._growing.text

    def append(self, text: str) -> None:
        """Add sanitized text."""
        if not text:
            return
        goes_on = self.text[-1:].strip() and text[:1].strip()
        self._words += len(text.split()) - bool(goes_on)
        stay = self._growing.append(text)
        self._page.put(stay, self._growing.blocks[stay:])
        self.display = True
        self._draw()

    def toggle(self, open: bool | None = None) -> None:
        """Fold or unfold."""
        self.open = not self.open if open is None else open
        self.set_class(self.open, "-open")
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """Fold or unfold, unless the mouse selected text."""
        event.stop()
        if not self.screen.get_selected_text():
            self.toggle()

    def on_resize(self) -> None:
        """Fit the line to the new width."""
        self._draw()

    def _draw(self) -> None:
        sign = "▾" if self.open else "▸"
        head = f"{sign} " + trn("reasoning, {n} word", "reasoning, {n} words", self._words)
        if self.open:
            self._line.update(Content(head))
            return
        width = (self.size.width or self.app.size.width - 6) - 2
        self._line.update(Content(one_line(f"{head}: {self.text[-TAIL:]}", max(20, width))))
