"""Textual's widgets: stored text, keys in quick succession, and drawing after removal."""

from __future__ import annotations

from contextlib import suppress

from textual.command import Command, CommandList, CommandPalette
from textual.css.query import NoMatches
from textual.document._document import EditResult, Location
from textual.document._edit import Edit
from textual.errors import NoWidget
from textual.events import Click
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import TextArea
from textual.worker import Worker

__all__ = [
    "Edit",
    "EditResult",
    "Location",
    "PatchedPalette",
    "PatchedTextArea",
    "draw_nothing_once_removed",
]


def draw_nothing_once_removed(widget: Widget) -> None:
    """Draw blanks for a widget without a parent.

    The layout of a screen behind a modal one still has the widgets that were removed from it since, and
    Textual fails to draw them without their styles.
    """
    render = widget.render_lines

    def render_lines(crop: Region) -> list[Strip]:
        return render(crop) if widget.parent else [Strip.blank(crop.width)] * crop.height

    widget.render_lines = render_lines  # type: ignore[method-assign]


class PatchedTextArea(TextArea):
    """A text area whose document is made from `to_document(text)`."""

    def to_document(self, text: str) -> str:
        """Return a text as the document stores it."""
        return text

    def _set_document(self, text: str, language: str | None) -> None:
        super()._set_document(self.to_document(text), language)

    def _watch_show_vertical_scrollbar(self) -> None:
        """Ignore a cursor on a line that was just deleted."""
        with suppress(ValueError):
            super()._watch_show_vertical_scrollbar()


class PatchedPalette(CommandPalette):
    """Textual's command palette, with access to its searches and selection."""

    @property
    def searches(self) -> list[Worker[object]]:
        """The searches for commands that are running."""
        return [
            worker
            for worker in self.workers
            if worker.node is self
            and worker.group == self._GATHER_COMMANDS_GROUP
            and not worker.is_finished
        ]

    def select(self) -> None:
        """Run the highlighted command, or highlight the first one."""
        self._select_or_command()

    def _on_click(self, event: Click) -> None:  # type: ignore[override]
        """Ignore a click on a place that the terminal has lost since, by shrinking."""
        try:
            self.get_widget_at(event.screen_x, event.screen_y)
        except NoWidget:
            event.prevent_default()  # Textual calls the handlers of all base classes

    def _refresh_command_list(
        self, command_list: CommandList, commands: list[Command], clear_current: bool
    ) -> None:
        """Ignore commands that are found after the palette was closed."""
        with suppress(NoMatches):
            super()._refresh_command_list(command_list, commands, clear_current)

    def _action_command_list(self, action: str) -> None:
        """Ignore keys while the list is empty."""
        with suppress(LookupError):
            super()._action_command_list(action)
