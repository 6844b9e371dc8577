"""The session list: all threads, latest first, or search results.

Typing searches; keys rename, delete and export the highlighted thread. The screen returns the thread to
open. Wide terminals show the end of the highlighted thread beside the list.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Static

from agent.forget.residual_copies import cleared_by_training
from memory.errors import DiscernError
from memory.i18n.interface_language import tr, trn
from tui.keys.bindings import bindings, hints, keyboard_of
from tui.screens.modal import Modal
from tui.terminal.sanitize import clean, one_line
from tui.views.error_text import error_text
from tui.views.session_text import deletion_summary
from tui.widgets.common.session_list import SessionList
from tui.widgets.common.text_input import LineInput

if TYPE_CHECKING:
    from agent.chat.chat import Chat
    from memory.journal.tables.threads import Session
    from memory.transfer.session_file import SessionForm


@dataclass(frozen=True, slots=True)
class Chosen:
    """The thread to open, and the turn that was found in it.

    `open_deleted` is set if the thread that is open in the chat was deleted.
    """

    thread: str
    turn: str | None = None
    open_deleted: bool = False


class SessionsScreen(Modal[Chosen | None]):
    """A search line, the list, a preview of the highlighted thread, and the keys."""

    DEFAULT_CSS = """
    SessionsScreen { layout: vertical; background: $background; }
    SessionsScreen > #asking { display: none; height: 1; }
    SessionsScreen.-asking > #asking { display: block; }
    SessionsScreen #label { width: auto; padding: 0 0 0 1; color: $accent; }
    SessionsScreen > .keys { height: auto; max-height: 3; padding: 0 1; color: $muted; }
    SessionsScreen.-warning > .keys { color: $error; }
    """
    AUTO_FOCUS = "#search"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list"), *bindings("sessions")]

    def __init__(self, chat: Chat, words: str = "") -> None:
        super().__init__()
        self._chat = chat
        self._asking: Literal["rename", "export"] | None = None
        self._about: Session | None = None
        """The session that a question is about."""
        self._open_deleted = self._taking = False
        # Kept as attributes: a query finds nothing once the screen is emptied.
        placeholder = tr("Sessions · type to search all conversations")
        self._search = LineInput(one_line(words, 200), placeholder=placeholder, id="search")
        self._list = SessionList(chat)
        self._label = Static("", markup=False, id="label")
        self._line = LineInput(id="line", select_on_focus=False)
        self._keys = Static("", markup=False, classes="keys")

    def compose(self) -> ComposeResult:
        """Compose the widgets."""
        yield self._search
        yield self._list
        with Horizontal(id="asking"):
            yield self._label
            yield self._line
        yield self._keys

    def on_mount(self) -> None:
        """Show all threads."""
        self._say()
        self._look()

    def _look(self, at: int = 0) -> None:
        self._list.look(self._search.value.casefold().split(), at)

    # --- keys --------------------------------------------------------------------------------

    def on_input_changed(self, message: Input.Changed) -> None:
        """Search while typing."""
        if message.input.id == "search":
            self._taking = False
            self._say()
            self._look()

    def on_option_list_option_highlighted(self) -> None:
        """Cancel a question about another thread."""
        row = self._list.chosen
        if self._about is None or self._asking is not None:
            return
        if row is None or row.session != self._about:
            self._say()

    def on_option_list_option_selected(self) -> None:
        """Open what was clicked."""
        self.action_take()

    def on_session_list_loaded(self) -> None:
        """Open the first result if Enter was pressed before the search ended."""
        if self._taking:
            self.action_take()

    def action_walk(self, how: str) -> None:
        """Move the highlight; the search line keeps the focus."""
        if self._asking is None:
            if self._about is not None:
                self._say()
            self._list.walk(how)

    def action_take(self) -> None:
        """Open the highlighted thread or answer the question; wait for a running search."""
        row = self._list.chosen
        self._taking = self._asking is None and not self._list.fresh
        if self._asking is not None:
            self._answered(self._line.value)
        elif row is not None and not self._taking:
            turn = row.turn.id if row.turn else None
            self.dismiss(Chosen(row.session.name, turn, self._open_deleted))

    def action_leave(self) -> None:
        """Cancel a question, clear the search, or close: whichever applies first."""
        if self._about is not None:
            self._say()
        elif self._search.value:
            self._search.value = ""
        else:
            self.dismiss(Chosen(self._chat.thread.name, None, True) if self._open_deleted else None)

    def action_rename(self) -> None:
        """Ask for a new name."""
        if self._asking is None and (row := self._list.chosen) is not None:
            # A name from another program may contain characters that are not allowed.
            self._ask("rename", row.session, tr("New name:"), one_line(row.session.name, 80))

    def action_delete(self) -> None:
        """Show what would be deleted; delete at the second press."""
        row = self._list.chosen
        if self._asking is not None or row is None:
            return
        item = row.session
        if self._about == item:
            self._change(lambda: self._delete(item))
            return
        keyboard = keyboard_of(self.app)
        self._say(
            deletion_summary(one_line(item.name, 40), item.turns, item.marks)
            + " "
            + tr(
                "Press {key} again to delete · {back} cancel",
                key=keyboard.first("delete_session"),
                back=keyboard.first("back"),
            ),
            warning=True,
        )
        self._about = item

    def action_export(self) -> None:
        """Ask where to export to; at the second press, offer the other format."""
        row = self._list.chosen
        if self._asking == "export" and self._about is not None:
            line = self._line
            self._put(line, str(_ending(Path(line.value))))
        elif self._asking is None and row is not None:
            from memory.transfer.session_file import free_path

            path = free_path(_folder(), row.session.name, "md")
            self._ask("export", row.session, tr("Export to:"), str(path))

    # --- questions ---------------------------------------------------------------------------

    def _ask(
        self, what: Literal["rename", "export"], item: Session, label: str, value: str
    ) -> None:
        more = [("export_session", tr("Markdown or JSON"))] if what == "export" else []
        words = (("choose", tr("save")), *more, ("back", tr("cancel")))
        self._say(hints(keyboard_of(self.app), words))
        self._asking, self._about = what, item
        self._label.update(Content(label))
        self.add_class("-asking")
        line = self._line
        self._put(line, value)
        if what == "rename":
            line.select_all()  # a name is replaced, a path is changed at its end
        line.focus()

    def _put(self, line: Input, value: str) -> None:
        line.value = value
        line.cursor_position = len(value)

    def _answered(self, value: str) -> None:
        item, what = self._about, self._asking
        assert item is not None
        if what == "rename":
            self._change(lambda: self._rename(item, value))
        else:
            self._change(lambda: self._export(item, value))

    @work(group="change", exclusive=True)
    async def _change(self, change: Callable[[], str]) -> None:
        at = self._list.at
        try:
            said = await asyncio.to_thread(change)
        except DiscernError as error:
            self._warn(error_text(error))
            return
        self._say(said)
        self._look(at)

    def _rename(self, item: Session, value: str) -> str:
        name = self._chat.thread.rename(item.name, value)
        return tr("Renamed to {name}.", name=name)

    def _delete(self, item: Session) -> str:
        self._open_deleted = self._open_deleted or item.name == self._chat.thread.name
        gone = self._chat.thread.delete(item.name)
        said = [trn("Deleted {n} turn.", "Deleted {n} turns.", gone.turns)]
        if gone.marks:
            said.append(trn("{n} mark stays in memory.", "{n} marks stay in memory.", gone.marks))
        if gone.files:
            files = ", ".join(str(path) for path in gone.files)
            said.append(tr("Copies may remain in {files}.", files=files))
        if gone.training:
            said.append(cleared_by_training())
        return " ".join(said)

    def _export(self, item: Session, value: str) -> str:
        from memory.transfer.session_file import write_session, written_as

        path = Path(value.strip())
        form: SessionForm = "json" if path.suffix == ".json" else "md"
        journal = self._chat.journal
        path = write_session(
            journal, path, written_as(journal.threads.transcript(item.name), form, clean)
        )
        return tr("Wrote {path}", path=path)

    def _warn(self, text: str) -> None:
        """Show an error and keep the question open."""
        self.add_class("-warning")
        self._keys.update(Content(clean(text)))

    def _say(self, text: str = "", *, warning: bool = False) -> None:
        """Show a text in the last line, by default the keys, and close the question."""
        self._asking = self._about = None
        if self.has_class("-asking"):
            self.remove_class("-asking")
            self._search.focus()
        self.set_class(warning, "-warning")
        words = (
            ("choose", tr("open")),
            ("rename_session", tr("rename")),
            ("delete_session", tr("delete")),
            ("export_session", tr("export")),
            ("back", tr("back")),
        )
        self._keys.update(Content(clean(text) or hints(keyboard_of(self.app), words)))
        self._list.keep_in_sight()


def _folder() -> Path:
    """Return the folder to offer for an export: where Discern was started, if it is writable."""
    here = Path.cwd()
    if os.access(here, os.W_OK):
        return here
    from platformdirs import user_documents_path

    return user_documents_path()


def _ending(path: Path) -> Path:
    """Return the same file in the other format."""
    if not path.name:
        return path
    return path.with_suffix(".md" if path.suffix == ".json" else ".json")
