"""All past talk: the threads, the latest first, or the turns that hold what is searched for.

Enter gives back the name of the chosen thread, Esc gives back nothing. Only reads the journal.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from memory.journal import Journal
from tui.text import clean, one_line

FOUND = 100
"""Turns that a search shows at most."""


class SessionsScreen(ModalScreen[str | None]):
    """Search above, threads or found turns below."""

    DEFAULT_CSS = """
    SessionsScreen { layout: vertical; background: $background; }
    SessionsScreen > Static { height: 1; padding: 0 1; color: $text-muted; }
    SessionsScreen > Input { height: 3; }
    SessionsScreen > OptionList { height: 1fr; }
    """
    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back to the chat", show=False, priority=True),
        Binding("down", "walk(1)", "Next", show=False, priority=True),
        Binding("up", "walk(-1)", "Previous", show=False, priority=True),
    ]

    def __init__(self, journal: Journal, words: str = "") -> None:
        super().__init__()
        self._journal = journal
        self._words = words
        self._threads: list[str] = []

    def compose(self) -> ComposeResult:
        """Lay the parts down."""
        yield Input(clean(self._words), placeholder="words of what was said")
        yield OptionList(markup=False)
        yield Static("↑ ↓ choose · Enter goes on there · Esc back to the chat", markup=False)

    def on_mount(self) -> None:
        """Show what there is."""
        self._look(self._words)

    def on_input_changed(self, message: Input.Changed) -> None:
        """Search while it is written."""
        self._look(message.value)

    @work(group="search", exclusive=True)
    async def _look(self, words: str) -> None:
        rows = await asyncio.to_thread(self._rows, words)
        listed = self.query_one(OptionList)
        listed.clear_options()
        width = max(20, self.size.width - 6)
        self._threads = [name for name, _ in rows]
        if not rows:
            line = f"Nothing said holds {words!r}." if words.strip() else "No threads yet."
            listed.add_option(Option(Text(one_line(line, width)), disabled=True))
            return
        listed.add_options(Option(Text(one_line(line, width))) for _, line in rows)
        listed.highlighted = 0

    def _rows(self, words: str) -> list[tuple[str, str]]:
        if not words.strip():
            return [
                (
                    name,
                    f"{at.astimezone():%Y-%m-%d %H:%M}  {turns:>4} turn{'s' * (turns != 1):1}  {name}",
                )
                for name, turns, at in self._journal.threads()
            ]
        return [
            (
                turn.thread,
                f"{turn.at.astimezone():%Y-%m-%d %H:%M}  {turn.asked} → {turn.replied}",
            )
            for turn in self._journal.search_turns(words, FOUND)
        ]

    def action_walk(self, step: int) -> None:
        """Move the choice while the search keeps the keyboard."""
        listed = self.query_one(OptionList)
        if step > 0:
            listed.action_cursor_down()
        else:
            listed.action_cursor_up()

    def on_input_submitted(self) -> None:
        """Take what is chosen."""
        self._take(self.query_one(OptionList).highlighted)

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        """Take what was clicked."""
        self._take(message.option_index)

    def _take(self, place: int | None) -> None:
        if place is not None and place < len(self._threads):
            self.dismiss(self._threads[place])

    def action_leave(self) -> None:
        """Go back to the chat."""
        self.dismiss(None)
