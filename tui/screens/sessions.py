"""All past talk: the threads, the latest first, or what was said that holds the words searched for.

Writing searches; the keys of the line below rename, delete and export the chosen thread. Gives back
where to go on, or nothing. Wide terminals show the end of the chosen talk beside the list.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from textual import events, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from memory.errors import DiscernError
from memory.language import tr, trn
from tui.keys import bindings, hints, keyboard_of
from tui.session_rows import Row, end_of_talk, entry
from tui.session_words import what_goes
from tui.text import clean, one_line

if TYPE_CHECKING:
    from agent.chat import Chat
    from memory.difference import Difference, Turn
    from memory.session_file import Form
    from memory.threads import Session

FOUND = 100
"""Turns that a search shows at most."""
SHOWN = 500
"""Threads that are listed at most; the search finds the others."""
WIDE = 100
"""Columns from which on the end of the talk is shown beside the list."""
PREVIEWED = 8


@dataclass(frozen=True, slots=True)
class Chosen:
    """Where to go on: a thread, and the turn that was found in it; `anew` where the open thread was
    deleted, so that what the chat shows is gone."""

    thread: str
    turn: str | None = None
    anew: bool = False


class SessionsScreen(ModalScreen[Chosen | None]):
    """A line to search by, the list, the end of the chosen talk, one dim line of keys."""

    DEFAULT_CSS = """
    SessionsScreen { layout: vertical; background: $background; }
    SessionsScreen Input { height: 1; border: none; padding: 0 1; background: transparent; }
    SessionsScreen Input:focus { border: none; background-tint: transparent; }
    SessionsScreen > #both { height: 1fr; margin: 1 0; }
    SessionsScreen OptionList {
        width: 1fr; height: 1fr; border: none; padding: 0; background: transparent;
        scrollbar-size-vertical: 1;
        &:focus { border: none; background-tint: transparent; }
        & > .option-list--option-highlighted { background: $panel; }
        &:nocolor > .option-list--option-highlighted { text-style: underline; }
    }
    SessionsScreen #preview {
        display: none; width: 1.2fr; height: 1fr; padding: 0 2; border-left: solid $line;
        scrollbar-size-vertical: 1;
    }
    SessionsScreen.-wide #preview { display: block; }
    SessionsScreen #preview > Static { height: auto; }
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
        self._chat, self._words = chat, words
        self._rows: list[Row] = []
        self._asking: Literal["rename", "export"] | None = None
        self._about: Session | None = None
        """The session that a question is about."""
        self._anew = False

    def compose(self) -> ComposeResult:
        """Lay the parts down."""
        placeholder = tr("Sessions · write to search all past talk")
        yield Input(one_line(self._words, 200), placeholder=placeholder, id="search")
        with Horizontal(id="both"):
            yield OptionList(markup=False)
            with VerticalScroll(id="preview", can_focus=False):
                yield Static("", markup=False, id="end")
        with Horizontal(id="asking"):
            yield Static("", markup=False, id="label")
            yield Input(id="line", select_on_focus=False)
        yield Static("", markup=False, classes="keys")

    def on_mount(self) -> None:
        """Show what there is."""
        self.set_class(self.size.width >= WIDE, "-wide")
        self._say()
        self._look()

    def on_resize(self, event: events.Resize) -> None:
        """Cut the lines anew, with the end of the talk beside them where there is room."""
        self.set_class(event.size.width >= WIDE, "-wide")
        self.call_after_refresh(self._draw)

    # --- the list ----------------------------------------------------------------------------

    @work(group="look", exclusive=True)
    async def _look(self, at: int = 0) -> None:
        """Read what is to be listed, and choose the row at this place."""
        rows = await asyncio.to_thread(self._read, self._searched)
        self._rows = rows
        self._draw(at)

    @property
    def _searched(self) -> list[str]:
        return self.query_one("#search", Input).value.casefold().split()

    def _read(self, words: list[str]) -> list[Row]:
        journal = self._chat.journal
        sessions = {item.name: item for item in journal.sessions()}
        if not words:
            return [Row(item) for item in sessions.values()][:SHOWN]
        named = [
            Row(item)
            for item in sessions.values()
            if all(word in item.name.casefold() for word in words)
        ]
        found = journal.search_turns(" ".join(words), FOUND)
        return named + [
            Row(sessions[turn.thread], turn) for turn in found if turn.thread in sessions
        ]

    def _draw(self, at: int | None = None) -> None:
        listed = self.query_one(OptionList)
        at = listed.highlighted or 0 if at is None else at
        width = max(24, listed.scrollable_content_region.width - 2)
        words = self._searched
        listed.clear_options()
        if not self._rows:
            said = (
                tr("Nothing said holds {words}.", words=repr(" ".join(words)))
                if words
                else tr("No threads yet; the first message begins one.")
            )
            listed.add_option(Option(one_line(said, width), disabled=True))
            self._show(None, [], [])
            return
        colours, here = self.app.theme_variables, self._chat.thread
        listed.add_options(
            Option(entry(row, words, width, colours, here=row.session.name == here))
            for row in self._rows
        )
        listed.highlighted = min(at, len(self._rows) - 1)

    @property
    def _chosen(self) -> Row | None:
        at = self.query_one(OptionList).highlighted
        return self._rows[at] if at is not None and at < len(self._rows) else None

    # --- the end of the talk -----------------------------------------------------------------

    def on_option_list_option_highlighted(self) -> None:
        """Show the end of the chosen talk."""
        if self._about is not None and self._asking is None:
            self._say()
        if self.has_class("-wide"):
            self._preview()

    @work(group="preview", exclusive=True)
    async def _preview(self) -> None:
        row = self._chosen
        if row is not None:
            turns, marks = await asyncio.to_thread(self._end_of, row)
            self._show(row, turns, marks)

    def _end_of(self, row: Row) -> tuple[list[Turn], list[Difference]]:
        journal = self._chat.journal
        last = row.turn.id if row.turn else None
        turns = journal.branch(row.session.name, limit=PREVIEWED, last=last)
        return turns, journal.of_turns([turn.id for turn in turns])

    def _show(self, row: Row | None, turns: list[Turn], marks: list[Difference]) -> None:
        words = self._searched if row is not None and row.turn else []
        end = end_of_talk(turns, marks, words, self.app.theme_variables)
        self.query_one("#end", Static).update(end)
        scroll = self.query_one("#preview", VerticalScroll)
        self.call_after_refresh(scroll.scroll_end, animate=False)

    # --- keys --------------------------------------------------------------------------------

    def on_input_changed(self, message: Input.Changed) -> None:
        """Search while it is written."""
        if message.input.id == "search":
            self._say()
            self._look()

    def on_option_list_option_selected(self) -> None:
        """Take what was clicked."""
        self.action_take()

    def action_walk(self, how: str) -> None:
        """Move the choice while the line keeps the keyboard."""
        if self._asking is None:
            getattr(self.query_one(OptionList), f"action_{how}")()

    def action_take(self) -> None:
        """Go on in what is chosen, or do what was asked for."""
        row = self._chosen
        if self._asking is not None:
            self._answered(self.query_one("#line", Input).value)
        elif row is not None:
            turn = row.turn.id if row.turn else None
            self.dismiss(Chosen(row.session.name, turn, self._anew))

    def action_leave(self) -> None:
        """Take a question back, empty the search, or go back to the chat, in this order."""
        search = self.query_one("#search", Input)
        if self._about is not None:
            self._say()
        elif search.value:
            search.value = ""
        else:
            self.dismiss(Chosen(self._chat.thread, None, True) if self._anew else None)

    def action_rename(self) -> None:
        """Ask for another name of the chosen thread."""
        if self._asking is None and (row := self._chosen) is not None:
            self._ask("rename", row.session, tr("New name:"), row.session.name)

    def action_delete(self) -> None:
        """Say what would go; asked for again, delete it."""
        row = self._chosen
        if self._asking is not None or row is None:
            return
        item = row.session
        if self._about == item:
            self._change(lambda: self._delete(item))
            return
        keyboard = keyboard_of(self.app)
        self._say(
            what_goes(one_line(item.name, 40), item.turns, item.marks)
            + " "
            + tr(
                "{key} again deletes it · {back} keeps it",
                key=keyboard.first("delete_session"),
                back=keyboard.first("back"),
            ),
            warning=True,
        )
        self._about = item

    def action_export(self) -> None:
        """Ask where to write the chosen thread to; asked for again, in the other form."""
        row = self._chosen
        if self._asking == "export" and self._about is not None:
            line = self.query_one("#line", Input)
            self._put(line, str(_ending(Path(line.value))))
        elif self._asking is None and row is not None:
            from memory.session_file import free_path

            path = free_path(_folder(), row.session.name, "md")
            self._ask("export", row.session, tr("Write to:"), str(path))

    # --- questions ---------------------------------------------------------------------------

    def _ask(
        self, what: Literal["rename", "export"], item: Session, label: str, value: str
    ) -> None:
        more = [("export_session", tr("Markdown or JSON"))] if what == "export" else []
        words = (("choose", tr("does it")), *more, ("back", tr("leaves it")))
        self._say(hints(keyboard_of(self.app), words))
        self._asking, self._about = what, item
        self.query_one("#label", Static).update(Content(label))
        self.add_class("-asking")
        line = self.query_one("#line", Input)
        self._put(line, one_line(value))
        if what == "rename":
            line.select_all()  # a new name is written anew, a path is changed at its end
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
        at = self.query_one(OptionList).highlighted or 0
        try:
            said = await asyncio.to_thread(change)
        except DiscernError as error:
            text = str(error)
            self._warn(f"{text[:1].upper()}{text[1:]}.")
            return
        self._say(said)
        self._look(at)

    def _rename(self, item: Session, value: str) -> str:
        name = self._chat.rename_thread(item.name, value)
        return tr("It is called {name} now.", name=name)

    def _delete(self, item: Session) -> str:
        self._anew = self._anew or item.name == self._chat.thread
        gone = self._chat.delete_thread(item.name)
        said = [trn("Deleted {n} turn.", "Deleted {n} turns.", gone.turns)]
        if gone.marks:
            said.append(trn("{n} mark stays in memory.", "{n} marks stay in memory.", gone.marks))
        if gone.files:
            files = ", ".join(str(path) for path in gone.files)
            said.append(tr("May still stand in {files}.", files=files))
        return " ".join(said)

    def _export(self, item: Session, value: str) -> str:
        from agent.leftovers import note_copy
        from memory.session_file import write_session, written_as

        path = Path(value.strip())
        form: Form = "json" if path.suffix == ".json" else "md"
        journal = self._chat.journal
        path = write_session(path, written_as(journal.told(item.name), form, clean))
        note_copy(journal, path)
        return tr("Written: {path}", path=path)

    def _warn(self, text: str) -> None:
        """Say what is wrong and leave the question open."""
        self.add_class("-warning")
        self.query_one(".keys", Static).update(Content(clean(text)))

    def _say(self, text: str = "", *, warning: bool = False) -> None:
        """Say this in the last line, by default the keys; a question that was open is over."""
        self._asking = self._about = None
        if self.has_class("-asking"):
            self.remove_class("-asking")
            self.query_one("#search", Input).focus()
        self.set_class(warning, "-warning")
        words = (
            ("choose", tr("go on")),
            ("rename_session", tr("rename")),
            ("delete_session", tr("delete")),
            ("export_session", tr("export")),
            ("back", tr("back")),
        )
        self.query_one(".keys", Static).update(
            Content(clean(text) or hints(keyboard_of(self.app), words))
        )
        # The last line may have grown over the chosen row.
        self.call_after_refresh(self.query_one(OptionList).scroll_to_highlight)


def _folder() -> Path:
    """Where a file is offered to be written: where Discern was started, if that can be written to."""
    here = Path.cwd()
    if os.access(here, os.W_OK):
        return here
    from platformdirs import user_documents_path

    return user_documents_path()


def _ending(path: Path) -> Path:
    """The same file in the other form."""
    if not path.name:
        return path
    return path.with_suffix(".md" if path.suffix == ".json" else ".json")
