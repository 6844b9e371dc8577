"""The word picker: selecting a part of a reply's source word by word.

It replaces the reply meanwhile. It shows the source instead of rendered Markdown, so that the selected
text is exactly as stored.
"""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.widgets import Static

from tui.keys.bindings import bindings
from tui.widgets.marking.mark_gesture import Passage


class WordPicker(Static, can_focus=True):
    """The source of a reply with the chosen words highlighted."""

    DEFAULT_CSS = """
    WordPicker { height: auto; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("passage")]

    class Chosen(Message):
        """Words were chosen; `span` is in characters of the reply."""

        def __init__(self, view: WordPicker, span: tuple[int, int]) -> None:
            super().__init__()
            self.view, self.span = view, span

    class Cancelled(Message):
        """The picker was cancelled."""

        def __init__(self, view: WordPicker) -> None:
            super().__init__()
            self.view = view

    def __init__(self, passage: Passage) -> None:
        super().__init__(markup=False)
        self.passage = passage

    def on_mount(self) -> None:
        """Draw."""
        self._draw()

    def action_move(self, step: int, grow: bool = False) -> None:
        """Move by words."""
        self._show(self.passage.move(step, grow=grow))

    def action_line(self, step: int, grow: bool = False) -> None:
        """Move by lines."""
        self._show(self.passage.line(step, grow=grow))

    def action_grow(self) -> None:
        """Start or stop growing the range."""
        self._show(self.passage.toggle())

    def action_take(self) -> None:
        """Choose the highlighted words."""
        self.post_message(self.Chosen(self, self.passage.span))

    def action_leave(self) -> None:
        """Cancel."""
        self.post_message(self.Cancelled(self))

    def _show(self, passage: Passage) -> None:
        self.passage = passage
        self._draw()
        row = passage.text.count("\n", 0, passage.words[passage.at][0])
        if self.size.width:
            before = passage.text[: passage.words[passage.at][0]].split("\n")
            row += sum(max(0, len(line) - 1) // self.size.width for line in before)
        parent = self.screen.query_one("#transcript")
        parent.scroll_to_region(
            Region(0, self.virtual_region_with_margin.y + row, 1, 1).translate((0, 0)),
            animate=False,
        )

    def _draw(self) -> None:
        start, end = self.passage.span
        self.update(Content(self.passage.text).stylize("reverse", start, end))
