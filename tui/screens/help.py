"""The list of commands and keys, filtered while typing.

Enter returns the highlighted command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from memory.i18n.interface_language import quoted, tr
from tui.commands.registry import COMMANDS, Command, found
from tui.keys.bindings import Keyboard, bindings, hints
from tui.keys.registry import FIXED
from tui.screens.modal import Modal
from tui.terminal.sanitize import one_line
from tui.views.mark_status import MARK_STATUSES
from tui.widgets.common.option_lists import SafeOptionList
from tui.widgets.common.text_input import LineInput

LEGEND = "Signs beside replies"


@dataclass(frozen=True, slots=True)
class HelpRow:
    """A row of help; Enter returns its `command`."""

    section: str
    name: str
    text: str
    command: Command | None = None

    @property
    def words(self) -> str:
        """The text that is searched."""
        aliases = " ".join(self.command.aliases) if self.command else ""
        return f"{self.section} {self.name} {aliases} {self.text}".casefold()


def rows(keyboard: Keyboard) -> list[HelpRow]:
    """Return all rows: commands, keys by place, signs of the gutter."""
    listed = [HelpRow(tr("Commands"), f"/{item.name}", tr(item.hint), item) for item in COMMANDS]
    for place, _identity, keys, effect in keyboard.rows():
        listed.append(HelpRow(tr("Keys {place}", place=tr(place)), keys, tr(effect)))
    listed += [HelpRow(tr("Fixed keys"), keys, tr(effect)) for keys, effect in FIXED]
    listed += [HelpRow(tr(LEGEND), status.sign, tr(status.meaning)) for status in MARK_STATUSES]
    told = tr("the family of the difference; the sign shows its status")
    listed.append(HelpRow(tr(LEGEND), tr("color"), told))
    return listed


class HelpScreen(Modal[Command | None]):
    """A filter line, the rows and the keys."""

    DEFAULT_CSS = """
    HelpScreen { layout: vertical; background: $background; }
    HelpScreen > Static { height: 1; padding: 0 1; color: $muted; }
    """
    AUTO_FOCUS = "Input"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list")]

    def __init__(self, keyboard: Keyboard, words: str = "") -> None:
        super().__init__()
        self._keyboard, self._words = keyboard, words
        self._rows = rows(keyboard)
        self._shown: list[HelpRow | None] = []
        # Kept as attributes: a query finds nothing once the screen is emptied.
        self._line = LineInput(one_line(words, 200), placeholder=tr("Help · type to filter"))
        self._listed = SafeOptionList()

    def compose(self) -> ComposeResult:
        """Compose the widgets."""
        yield self._line
        yield self._listed
        words = (
            ("previous_row", ""),
            ("next_row", tr("choose")),
            ("choose", tr("insert or run")),
            ("back", tr("back")),
        )
        yield Static(hints(self._keyboard, words), markup=False)

    def on_mount(self) -> None:
        """Show all rows."""
        self._apply_filter(self._words)

    def on_resize(self) -> None:
        """Fit the lines to the new width."""
        self._apply_filter(self._line.value)

    def on_input_changed(self, message: Input.Changed) -> None:
        """Filter while typing."""
        self._apply_filter(message.value)

    def action_take(self) -> None:
        """Return the highlighted command."""
        self._take(self._listed.highlighted)

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        """Return the command that was clicked."""
        self._take(message.option_index)

    def action_walk(self, how: str) -> None:
        """Move the highlight; the filter line keeps the focus."""
        getattr(self._listed, f"action_{how}")()

    def action_leave(self) -> None:
        """Go back to the chat."""
        self.dismiss(None)

    def _take(self, place: int | None) -> None:
        row = self._shown[place] if place is not None and place < len(self._shown) else None
        if row is not None and row.command is not None:
            self.dismiss(row.command)

    def _apply_filter(self, words: str) -> None:
        wanted = words.casefold().removeprefix("/").split()
        kept = [row for row in self._rows if all(word in row.words for word in wanted)]
        if not kept:
            kept = [row for row in self._rows if row.command in found(words.strip().lstrip("/"))]
        listed, variables = self._listed, self.app.theme_variables
        width = max(24, self.size.width - 4)
        rooms: dict[str, int] = {}
        for row in kept:
            rooms[row.section] = min(28, max(rooms.get(row.section, 8), cell_len(row.name)))
        options: list[Option] = []
        self._shown = []
        section = ""
        for row in kept:
            if row.section != section:
                section = row.section
                self._shown.append(None)
                heading = Content.styled(one_line(section, width), f"bold {variables['accent']}")
                options.append(Option(heading, disabled=True))
            self._shown.append(row)
            room = rooms[row.section]
            name = set_cell_size(one_line(row.name, room), room)
            line = Content.assemble(
                (f"  {name}  ", variables["foreground"]),
                (one_line(row.text, max(8, width - room - 4)), variables["muted"]),
            )
            options.append(Option(line))
        if not kept:
            said = tr("No matches for {words}.", words=quoted(one_line(words, 40)))
            options.append(Option(Content(said), disabled=True))
        listed.clear_options()
        listed.add_options(options)
        if kept:
            listed.highlighted = 1
