"""A list of choices: rows under headings, with a sign before the highlighted one.

The sign shows the highlight without relying on colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.terminal.sanitize import one_line

MIN_TEXT_WIDTH = 14
"""Minimum width of the text; below it the columns on the right are dropped."""


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """A row to choose: its key, its text, and two columns on the right.

    A `key` of "" is a heading. The columns are a figure and a word.
    """

    key: str
    text: str
    figure: str = ""
    word: str = ""


class Choices(OptionList):
    """A list with one highlighted row."""

    DEFAULT_CSS = """
    Choices {
        height: auto;
        max-height: 100%;
        border: none;
        padding: 0;
        background: transparent;
        scrollbar-size-vertical: 1;
        &:focus { border: none; background-tint: transparent; }
        & > .option-list--option-disabled { color: $muted; }
        & > .option-list--option-highlighted {
            color: $foreground; background: transparent; text-style: bold;
        }
        &:focus > .option-list--option-highlighted {
            color: $block-cursor-foreground; background: $block-cursor-background; text-style: bold;
        }
    }
    """

    class Chosen(Message):
        """A row was chosen by Enter or a click."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Highlighted(Message):
        """Another row was highlighted."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self) -> None:
        super().__init__(markup=False)
        self._rows: list[ChoiceRow] = []
        self._columns = (0, 0)
        """Widths of the widest figure and the widest word."""
        self._lit: int | None = None
        """The index of the row with the sign."""

    def show(self, rows: Sequence[ChoiceRow], key: str | None = None) -> None:
        """Show these rows; highlight `key`, else the same row as before, else the first."""
        wanted = key if key is not None else self.highlighted_key
        self._rows = list(rows)
        self._columns = (
            max((cell_len(row.figure) for row in rows), default=0),
            max((cell_len(row.word) for row in rows), default=0),
        )
        self.clear_options()
        self.add_options(Option(self._line(row, False), disabled=not row.key) for row in rows)
        places = [place for place, row in enumerate(rows) if row.key]
        at = next((place for place in places if rows[place].key == wanted), None)
        self.highlighted = at if at is not None else next(iter(places), None)
        self._redraw()

    @property
    def highlighted_key(self) -> str:
        """The key of the highlighted row; "" if there is none."""
        at = self.highlighted
        return self._rows[at].key if at is not None and at < len(self._rows) else ""

    def on_resize(self) -> None:
        """Fit the rows to the new width."""
        self._redraw()

    def on_option_list_option_highlighted(self, message: OptionList.OptionHighlighted) -> None:
        """Post the highlighted key."""
        message.stop()
        self._sign()
        if self.highlighted_key:
            self.post_message(self.Highlighted(self.highlighted_key))

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        """Post the chosen key."""
        message.stop()
        if message.option_index < len(self._rows):
            self.post_message(self.Chosen(self._rows[message.option_index].key))

    def _redraw(self) -> None:
        for place in range(len(self._rows)):
            self._paint(place)
        self._lit = self.highlighted

    def _sign(self) -> None:
        """Move the sign to the highlighted row."""
        for place in {self._lit, self.highlighted}:
            if place is not None and place < len(self._rows):
                self._paint(place)
        self._lit = self.highlighted

    def _paint(self, place: int) -> None:
        line = self._line(self._rows[place], place == self.highlighted)
        self.replace_option_prompt_at_index(place, line)

    def _line(self, row: ChoiceRow, here: bool) -> Content:
        if not row.key:
            return Content(one_line(row.text, self._width))
        figures, words = self._columns
        words = min(self._width // 3, words)
        right = ""
        if figures or words:
            right = f"  {row.figure:>{figures}}  {set_cell_size(one_line(row.word, words), words)}"
            if self._width - 2 - cell_len(right) < MIN_TEXT_WIDTH:  # the word is shown below, too
                right = f"  {row.figure:>{figures}}"
        room = max(8, self._width - 2 - cell_len(right))
        text = set_cell_size(one_line(row.text, room), room)
        return Content(f"{'›' if here else ' '} {text}{right}")

    @property
    def _width(self) -> int:
        return max(24, (self.size.width or self.app.size.width - 6) - 2)
