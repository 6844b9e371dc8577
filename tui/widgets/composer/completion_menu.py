"""The completion menu above the input."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from memory.i18n.interface_language import trn
from tui.commands.completion import Completion
from tui.terminal.sanitize import one_line, padded

MAX_ROWS = 8


class CompletionMenu(Static):
    """Up to `MAX_ROWS` completions, one of them highlighted; hidden if there are none."""

    DEFAULT_CSS = """
    CompletionMenu {
        height: auto;
        display: none;
        padding: 0 2 0 1;
        background: $surface;
        color: $muted;
    }
    """

    class Picked(Message):
        """A completion was clicked."""

    def __init__(self) -> None:
        super().__init__(markup=False, id="menu")
        self._offers: Sequence[Completion] = ()
        self._at = 0
        self._top = 0

    @property
    def chosen(self) -> Completion | None:
        """The completion that Enter inserts."""
        return self._offers[self._at] if self._at >= 0 else None

    @property
    def first(self) -> Completion | None:
        """The completion that Tab inserts: the highlighted one, else the first."""
        return self._offers[max(0, self._at)] if self._offers else None

    def offer(self, offers: Sequence[Completion], *, choose: bool = False) -> None:
        """Show these completions; `choose` highlights the first."""
        self._offers, self._at, self._top = offers, 0 if offers and choose else -1, 0
        self.display = bool(offers)
        self._draw()

    def move(self, step: int) -> None:
        """Highlight the next or previous completion, wrapping around."""
        if self._offers:
            self._at = max(self._at, -1 if step > 0 else 0) + step
            self._at %= len(self._offers)
            self._top = max(0, min(max(self._top, self._at - MAX_ROWS + 1), self._at))
            self._draw()

    def _draw(self) -> None:
        width = max(20, self.app.size.width - 5)
        shown = self._offers[self._top : self._top + MAX_ROWS]
        room = min(max((cell_len(item.label) for item in shown), default=0), width // 2)
        variables = self.app.theme_variables
        lines: list[Content] = []
        for number, item in enumerate(shown, start=self._top):
            label = one_line(item.label, room)
            hint = one_line(item.hint, max(1, width - room - 2))
            chosen = number == self._at
            style = f"bold {variables['accent']}" if chosen else variables["foreground"]
            sign = "▸ " if chosen else "  "
            lines.append(Content.assemble((f"{sign}{padded(label, room)}", style), f"  {hint}"))
        if more := len(self._offers) - len(shown):
            lines.append(Content("  " + trn("{n} more", "{n} more", more)))
        self.update(Content("\n").join(lines))

    def on_click(self, event: events.Click) -> None:
        """Insert the completion that was clicked."""
        number = self._top + event.y
        if number < len(self._offers):
            self._at = number
            self.post_message(self.Picked())
