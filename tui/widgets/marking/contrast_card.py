"""The contrast card, in which the three lines of a mark are edited.

It is part of the transcript. Enter or Ctrl+S saves, Ctrl+J breaks a line, Tab moves on, Esc cancels.
The user can type while the model drafts; a draft only fills empty lines. Nothing is stored until the
user saves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from memory.difference import CONTRAST_LABELS, Contrast, Difference
from memory.i18n.interface_language import tr
from memory.kinds import in_words
from tui.keys.bindings import bindings, keyboard_of
from tui.terminal.sanitize import labels_width, one_line, padded
from tui.widgets.common.text_input import PlainTextArea

LINES: tuple[tuple[str, str], ...] = (
    ("missed", "what the reply got wrong"),
    ("lost", "what the reply left out"),
    ("sounds", "the better answer, used for training"),
)
NOTE = ("note", "anything else worth remembering")


def label_of(name: str) -> str:
    """Return what a line of a card is called on the screen, in English."""
    return CONTRAST_LABELS.get(name, name)


class CardLine(PlainTextArea):
    """One line of a card; it grows with its text."""

    DEFAULT_CSS = """
    CardLine { max-height: 6; }
    """

    class Entered(Message):
        """Enter was pressed."""

    def __init__(self, name: str, hint: str, text: str) -> None:
        super().__init__(
            text,
            soft_wrap=True,
            compact=True,
            placeholder=tr(hint),
            classes="line",
            name=name,
        )

    async def on_key(self, event: events.Key) -> None:
        """Handle Enter and the key for a line break before the text area does."""
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Entered())
        elif keyboard_of(self.app).does("newline", event.key):
            event.stop()
            event.prevent_default()
            self.insert("\n")


class ContrastCard(Vertical):
    """A mark being edited."""

    DEFAULT_CSS = """
    ContrastCard {
        height: auto;
        margin: 1 2 0 2;
        padding: 0 1;
        background: $panel;
        border-left: thick $accent;
        & > Static { height: auto; color: $muted; }
        & > .title { color: $foreground; }
        & > .row { height: auto; }
        & .label { width: 8; color: $accent; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("card")]

    class Saved(Message):
        """The user saved the card; `lines` are the changed lines by name."""

        def __init__(self, card: ContrastCard, lines: dict[str, str]) -> None:
            super().__init__()
            self.card = card
            self.lines = lines

    class Closed(Message):
        """The card was cancelled."""

        def __init__(self, card: ContrastCard) -> None:
            super().__init__()
            self.card = card

    def __init__(
        self, difference: Difference, *, note: bool = False, drafting: bool = False
    ) -> None:
        super().__init__()
        self.difference = difference
        self._title = Static("", markup=False, classes="title")
        self._quoted = Static("", markup=False)
        self._state = Static("", markup=False)
        contrast = difference.contrast
        names: Sequence[tuple[str, str]] = (*LINES, NOTE) if note else LINES
        self._before = {name: getattr(contrast, name, None) or "" for name, _hint in LINES}
        self._before["note"] = difference.note or ""
        self._lines = {name: CardLine(name, hint, self._before[name]) for name, hint in names}
        self._room = labels_width(tr(label_of(name)) for name in (*self._lines, "asked", "said"))
        self._said = tr("The model is writing a draft; you can type meanwhile.") if drafting else ""

    def compose(self) -> ComposeResult:
        """Compose the widgets."""
        yield self._title
        yield self._quoted
        for name, line in self._lines.items():
            with Horizontal(classes="row"):
                label = Static(tr(label_of(name)), markup=False, classes="label")
                label.styles.width = self._room
                yield label
                yield line
        yield self._state

    def on_mount(self) -> None:
        """Focus the first empty line."""
        self._draw()
        empty = [line for line in self._lines.values() if not line.text]
        # Not yet laid out, scrolling it into view would scroll to the top of the talk.
        (empty or list(self._lines.values()))[0].focus(scroll_visible=False)

    def on_resize(self) -> None:
        """Fit the lines to the new width."""
        self._draw()

    def _draw(self) -> None:
        item, width = self.difference, max(20, self.app.size.width - 10)
        what = " ".join(filter(None, (tr(item.moment), item.kind and in_words(item.kind))))
        title = tr("{id} {what}: describe the difference", id=item.id[:8], what=what)
        self._title.update(Content(one_line(f"◆ {title}", width)))
        quote = item.span.quote if item.span else item.replied
        rows = ((tr("asked"), item.asked), (tr("said"), quote))
        room = self._room
        self._quoted.update(
            Content(
                "\n".join(padded(name, room) + one_line(text, width - room) for name, text in rows)
            )
        )
        keys = tr("Enter save · Tab next · Ctrl+J new line · Esc cancel")
        self._state.update(
            Content(one_line(self._said, width) + "\n" + keys if self._said else keys)
        )

    def offer(self, contrast: Contrast, said: str = "") -> None:
        """Put a draft into the empty lines; `said` explains why there is none."""
        for name, _hint in LINES:
            line = self._lines[name]
            if not line.text.strip() and (text := getattr(contrast, name)):
                line.text = text
        self._said = said or tr("This is a draft. Edit it as you like; only what you save is used.")
        self._draw()

    def on_card_line_entered(self, message: CardLine.Entered) -> None:
        """Save."""
        message.stop()
        self.action_keep()

    def action_keep(self) -> None:
        """Save the changed lines."""
        said = {name: line.text for name, line in self._lines.items()}
        changed = {name: text for name, text in said.items() if text != self._before[name]}
        self.post_message(self.Saved(self, changed) if changed else self.Closed(self))

    def action_leave(self) -> None:
        """Cancel."""
        self.post_message(self.Closed(self))
