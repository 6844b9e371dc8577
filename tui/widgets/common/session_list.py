"""The list of threads or search results, and the end of the highlighted thread beside it.

The journal is read in threads; a new search cancels the one before.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import events, work
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Static
from textual.widgets.option_list import Option

from memory.i18n.interface_language import quoted, tr
from tui.terminal.sanitize import one_line
from tui.views.session_rows import SessionRow, entry, thread_end
from tui.widgets.common.option_lists import SafeOptionList

if TYPE_CHECKING:
    from agent.chat.chat import Chat
    from memory.difference import Difference, Turn

FOUND = 100
"""Maximum number of turns in search results."""
MAX_LISTED = 500
"""Maximum number of listed threads; the search finds the others."""
WIDE = 100
"""Columns from which the end of the thread is shown beside the list."""
PREVIEWED = 8
"""Turns in the preview."""


class SessionList(Horizontal):
    """Rows of two lines; on wide terminals, the last turns of the highlighted thread beside them."""

    DEFAULT_CSS = """
    SessionList { height: 1fr; margin: 1 0; }
    SessionList > OptionList {
        width: 1fr;
        & > .option-list--option-highlighted { background: $panel; }
    }
    SessionList > VerticalScroll {
        display: none; width: 1.2fr; height: 1fr; padding: 0 2; border-left: solid $line;
        scrollbar-size-vertical: 1;
    }
    SessionList.-wide > VerticalScroll { display: block; }
    SessionList > VerticalScroll > Static { height: auto; }
    """

    class Loaded(Message):
        """The rows of the last search are shown."""

    def __init__(self, chat: Chat) -> None:
        super().__init__()
        self._chat = chat
        self._words: list[str] = []
        self._rows: list[SessionRow] = []
        self.fresh = False
        """Whether the rows are the results of the last search."""
        # Kept as attributes: a query finds nothing once the screen is emptied.
        self._listed = SafeOptionList()
        self._end, self._beside = Static("", markup=False), VerticalScroll(can_focus=False)

    def compose(self) -> ComposeResult:
        """Compose the widgets."""
        yield self._listed
        with self._beside:
            yield self._end

    def on_resize(self, event: events.Resize) -> None:
        """Fit the lines; show the end of the thread if there is room."""
        self.set_class(event.size.width >= WIDE, "-wide")
        self.call_after_refresh(self._draw)

    def walk(self, how: str) -> None:
        """Move the highlight: `cursor_down`, `page_up` and so on."""
        getattr(self._listed, f"action_{how}")()

    def keep_in_sight(self) -> None:
        """Scroll to the highlighted row, after a widget below grew."""
        self.call_after_refresh(self._listed.scroll_to_highlight)

    def look(self, words: list[str], at: int = 0) -> None:
        """Search for these words, and highlight the row at this index."""
        self._words, self.fresh = words, False
        self._look(words, at)

    @work(group="look", exclusive=True)
    async def _look(self, words: list[str], at: int) -> None:
        self._rows = await asyncio.to_thread(self._read, words)
        self._draw(at)
        self.fresh = True
        self.post_message(self.Loaded())

    def _read(self, words: list[str]) -> list[SessionRow]:
        journal = self._chat.journal
        sessions = {item.name: item for item in journal.threads.sessions()}
        if not words:
            return [SessionRow(item) for item in sessions.values()][:MAX_LISTED]
        named = [
            SessionRow(item)
            for item in sessions.values()
            if all(word in item.name.casefold() for word in words)
        ]
        found = journal.turns.search(" ".join(words), FOUND)
        return named + [
            SessionRow(sessions[turn.thread], turn) for turn in found if turn.thread in sessions
        ]

    def _draw(self, at: int | None = None) -> None:
        listed = self._listed
        at = self.at if at is None else at
        width = max(24, listed.scrollable_content_region.width - 2)
        words = self._words
        listed.clear_options()
        if not self._rows:
            said = (
                tr("No message contains {words}.", words=quoted(" ".join(words)))
                if words
                else tr("No threads yet; the first message starts one.")
            )
            listed.add_option(Option(one_line(said, width), disabled=True))
            self._show(None, [], [])
            return
        colours, here = self.app.theme_variables, self._chat.thread.name
        listed.add_options(
            Option(entry(row, words, width, colours, here=row.session.name == here))
            for row in self._rows
        )
        listed.highlighted = min(at, len(self._rows) - 1)

    @property
    def at(self) -> int:
        """The index of the highlighted row."""
        return self._listed.highlighted or 0

    @property
    def chosen(self) -> SessionRow | None:
        """The highlighted row; None if the list is empty."""
        at = self._listed.highlighted
        return self._rows[at] if at is not None and at < len(self._rows) else None

    # --- the end of the thread ---------------------------------------------------------------

    def on_option_list_option_highlighted(self) -> None:
        """Show the end of the highlighted thread."""
        if self.has_class("-wide"):
            self._preview()

    @work(group="preview", exclusive=True)
    async def _preview(self) -> None:
        row = self.chosen
        if row is not None:
            turns, marks = await asyncio.to_thread(self._end_of, row)
            self._show(row, turns, marks)

    def _end_of(self, row: SessionRow) -> tuple[list[Turn], list[Difference]]:
        journal = self._chat.journal
        last = row.turn.id if row.turn else None
        turns = journal.branches.current(row.session.name, limit=PREVIEWED, last=last)
        return turns, journal.differences.on_turns([turn.id for turn in turns])

    def _show(self, row: SessionRow | None, turns: list[Turn], marks: list[Difference]) -> None:
        words = self._words if row is not None and row.turn else []
        end = thread_end(turns, marks, words, self.app.theme_variables)
        self._end.update(end)
        self.call_after_refresh(self._beside.scroll_end, animate=False)
