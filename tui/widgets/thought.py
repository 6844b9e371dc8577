"""What a thinking model thought before it replied: one dim line, unfolded by a click."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.widgets import Static

from tui.text import one_line


class ThoughtLine(Static):
    """The thought of one reply, folded; hidden while there is none. It is kept nowhere."""

    DEFAULT_CSS = """
    ThoughtLine {
        height: auto;
        display: none;
        padding-left: 2;
        color: $muted;
        &:hover { color: $foreground; }
    }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)
        self.text = ""
        self.open = False

    def append(self, text: str) -> None:
        """Add a piece that passed the gate."""
        if text:
            self.text += text
            self.display = True
            self._draw()

    def toggle(self, open: bool | None = None) -> None:
        """Unfold or fold."""
        self.open = not self.open if open is None else open
        self._draw()

    def on_click(self, event: events.Click) -> None:
        """Unfold or fold."""
        event.stop()
        self.toggle()

    def on_resize(self) -> None:
        """Cut the line anew."""
        self._draw()

    def _draw(self) -> None:
        head = f"thought, {len(self.text.split())} words"
        if self.open:
            self.update(Content(f"{head}\n{self.text}"))
            return
        width = (self.size.width or self.app.size.width - 6) - 2
        self.update(Content(one_line(f"{head}: {self.text[-200:]}", max(20, width))))
