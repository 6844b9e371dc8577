"""The report screen: the verdict, then all measurements; keys show older reports.

It reads the folders of the runs, and writes the page with plots beside a report.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from memory.files.atomic_write import write_whole
from memory.i18n.interface_language import tr
from trainer.report.page import report_page
from trainer.report.report import Report
from tui.keys.bindings import bindings, hints, keyboard_of
from tui.screens.modal import Modal
from tui.terminal.sanitize import one_line
from tui.views.report_view import report_view

PAGE_FILE = "report.html"
WIDEST = 100


class ReportScreen(Modal[None]):
    """A title, the report and the keys.

    `found` holds folders and their reports, the newest first.
    """

    DEFAULT_CSS = """
    ReportScreen { layout: vertical; background: $background; }
    ReportScreen > Static { height: 1; padding: 0 2; color: $muted; }
    ReportScreen > VerticalScroll {
        height: 1fr; padding: 1 2 0 2; scrollbar-size-vertical: 1;
        &:focus { background-tint: transparent; }
    }
    ReportScreen > VerticalScroll > Static { height: auto; text-wrap: nowrap; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("report")]

    def __init__(self, found: Sequence[tuple[Path, Report]]) -> None:
        super().__init__()
        self._found = list(found)
        self._at = 0
        # Kept as attributes: a query finds nothing once the screen is emptied.
        self._which, self._page = Static("", markup=False), Static("", markup=False)
        self._scroll, self._foot = VerticalScroll(), Static("", markup=False, id="keys")

    def compose(self) -> ComposeResult:
        """Compose the widgets."""
        yield self._which
        with self._scroll:
            yield self._page
        yield self._foot

    @property
    def _keys(self) -> str:
        words = (
            ("older_report", tr("older")),
            ("newer_report", tr("newer")),
            ("report_page", tr("page with plots")),
            ("back", tr("back")),
        )
        return f"↑ ↓ PgUp PgDn · {hints(keyboard_of(self.app), words)}"

    def on_mount(self) -> None:
        """Show the newest report."""
        self._scroll.focus()
        self._say(self._keys)
        self._draw()

    def on_resize(self, _event: events.Resize) -> None:
        """Wrap the lines to the new width."""
        self._draw()

    def _draw(self) -> None:
        folder, report = self._found[self._at]
        width = max(40, min(WIDEST, self.size.width - 6))
        which = tr(
            "Report {number} of {count} · {at} · run {run}",
            number=self._at + 1,
            count=len(self._found),
            at=f"{report.started.astimezone():%Y-%m-%d %H:%M}",
            run=folder.name,
        )
        self._which.update(Content(one_line(which, width)))
        self._page.update(report_view(report, width, self.app.theme_variables))

    def action_walk(self, step: int) -> None:
        """Show the previous or next report."""
        at = self._at + step
        if 0 <= at < len(self._found):
            self._at = at
            self._draw()
            self._scroll.scroll_home(animate=False)
            self._say(self._keys)

    def action_leave(self) -> None:
        """Go back to the chat."""
        self.dismiss(None)

    @work(group="page", exclusive=True)
    async def action_page(self) -> None:
        """Write the page with plots into the run's folder."""
        folder, report = self._found[self._at]
        page = folder / PAGE_FILE
        try:
            text = await asyncio.to_thread(report_page, report)
            await asyncio.to_thread(write_whole, page, text)
        except OSError as error:
            said = tr(
                "cannot write {page}: {why}; check the free space and permissions, and try again",
                page=page,
                why=error.strerror,
            )
            self._say(said)
        else:
            self._say(tr("Wrote {path}", path=page))

    def _say(self, text: str) -> None:
        self._foot.update(Content(one_line(text, max(20, self.size.width - 4))))
