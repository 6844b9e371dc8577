"""The mark picker below a reply: family, type and texts of a mark, each optional.

A digit chooses the family, another one the type; e, s and h choose the moment, w which replies it is
about. Enter skips a step and saves at the last one, Backspace goes back, Esc cancels. The picker posts
the mark and stores nothing.
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

from memory.difference import SCOPE_LABELS, MarkScope
from memory.i18n.interface_language import tr
from memory.kinds import Kind, in_words
from memory.mark_validation import MarkRequest
from tui.keys.bindings import bindings
from tui.terminal.sanitize import labels_width, one_line
from tui.widgets.marking.contrast_card import CardLine, label_of
from tui.widgets.marking.mark_gesture import MOMENTS, SCOPE_KEY, MarkGesture

WORDS = (("sounds", "the better answer, used for training"), ("note", "a short note"))
WIDE_WORDS = (("sounds", "a better answer, as an example"), ("note", "how replies should be"))
"""The same lines of a mark about more than its question, which is not trained on."""


class MarkPicker(Vertical, can_focus=True):
    """The picker of a mark for the reply above it."""

    DEFAULT_CSS = """
    MarkPicker {
        height: auto;
        padding: 0 1 0 2;
        & > Static { height: auto; color: $muted; }
        & > .row { height: auto; }
        & .label { width: 8; color: $accent; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("picker")]

    class Submitted(Message):
        """The user completed the mark."""

        def __init__(self, picker: MarkPicker, request: MarkRequest) -> None:
            super().__init__()
            self.picker, self.request = picker, request

    class Cancelled(Message):
        """The picker was cancelled; with `typing`, to type a /diff command instead."""

        def __init__(self, picker: MarkPicker, typing: bool = False) -> None:
            super().__init__()
            self.picker, self.typing = picker, typing

    def __init__(
        self, kinds: Sequence[Kind], span: tuple[int, int] | None = None, quote: str = ""
    ) -> None:
        super().__init__(classes="picker")
        self.gesture = MarkGesture(kinds)
        self.span, self.quote = span, quote
        self._head = Static("", markup=False)
        self._keys = Static("", markup=False)
        self._lines = {name: CardLine(name, hint, "") for name, hint in WORDS}
        self._rows: list[Horizontal] = []
        for name, line in self._lines.items():
            label = Static(tr(label_of(name)), markup=False, classes="label")
            label.styles.width = labels_width(tr(label_of(each)) for each, _hint in WORDS)
            self._rows.append(Horizontal(label, line, classes="row"))
            self._rows[-1].display = False

    @property
    def lines(self) -> tuple[CardLine, ...]:
        """The lines of text."""
        return tuple(self._lines.values())

    def compose(self) -> ComposeResult:
        """Compose the widgets."""
        yield self._head
        yield from self._rows
        yield self._keys

    def on_mount(self) -> None:
        """Draw."""
        self._draw()

    def on_resize(self) -> None:
        """Fit the lines to the new width."""
        self._draw()

    def on_key(self, event: events.Key) -> None:
        """Handle a digit or the letter of a moment; ignore other letters."""
        key = (event.key if len(event.key) == 1 else event.character or event.key).lower()
        if len(key) != 1 or not key.isprintable():
            return
        event.stop()
        event.prevent_default()
        if self.gesture.step == 2:  # typed before the line had the focus
            line = self.screen.focused
            line = line if isinstance(line, CardLine) else self._lines["sounds"]
            line.insert(event.character or event.key)
        elif key == "/":
            self.post_message(self.Cancelled(self, typing=True))
        elif (after := self.gesture.press(key)) is not None:
            self._go(after)

    def action_skip(self) -> None:
        """Skip this step; at the end, save."""
        if self.gesture.step < 2:
            self._go(self.gesture.skip())
        else:
            self._keep()

    def action_back(self) -> None:
        """Go back a step."""
        self._go(self.gesture.back())

    def action_leave(self) -> None:
        """Cancel."""
        self.post_message(self.Cancelled(self))

    def on_card_line_entered(self, message: CardLine.Entered) -> None:
        """Save."""
        message.stop()
        self._keep()

    def _keep(self) -> None:
        words = {name: line.text for name, line in self._lines.items()}
        self.post_message(
            self.Submitted(self, self.gesture.request(words["note"], words["sounds"]))
        )

    def _go(self, gesture: MarkGesture) -> None:
        if not self.is_attached:
            return  # closed before this key arrived
        writing = self.gesture.step == 2
        self.gesture = gesture
        for row in self._rows:
            row.display = gesture.step == 2
        for name, hint in WORDS if gesture.scope is MarkScope.HERE else WIDE_WORDS:
            self._lines[name].placeholder = tr(hint)
        self._draw()
        # Not `focus`, which is deferred: the next key may already be queued.
        if gesture.step == 2 and not writing:
            self.screen.set_focus(self._lines["sounds"])
        elif gesture.step != 2:
            self.screen.set_focus(self)
        self.call_after_refresh(self.scroll_visible, animate=False)

    def _draw(self) -> None:
        gesture, width = self.gesture, max(24, (self.size.width or self.app.size.width - 8) - 2)
        accent, text = self.app.theme_variables["accent"], self.app.theme_variables["foreground"]
        moment = tr(gesture.moment) if gesture.moment else ""
        kind = in_words(gesture.kind.name) if gesture.kind else ""
        said = " ".join(part for part in (moment, kind) if part)
        what = (
            tr("mark “{words}”", words=one_line(self.quote, 30))
            if self.span
            else tr("mark the reply")
        )
        scope = tr("for {scope}", scope=tr(SCOPE_LABELS[gesture.scope]))
        head: list[tuple[str, str] | str] = [(f"◆ {what}", text)]
        head += [(f"  {said}", accent)] if said else []
        head += ["   ", (SCOPE_KEY, f"bold {accent}")] if gesture.step < 2 else ["  "]
        lines = [Content.assemble(*head, f" {scope}")]
        if gesture.offers:
            parts = [(digit, kind.label) for digit, kind in gesture.offers]
            lines += [line.stylize_before(text) for line in _rows(parts, width, accent)]
        elif gesture.kind is not None:
            lines.append(Content(one_line(gesture.kind.meaning, width)))
        self._head.update(Content("\n").join(lines))
        letters = " · ".join(f"{letter} {tr(name)}" for letter, name in MOMENTS.items())
        keys = (
            tr("Enter save · Tab other line · Esc cancel")
            if gesture.step == 2
            else tr("{letters} · Enter skip · / type · Esc cancel", letters=letters)
        )
        self._keys.update(Content(one_line(keys, width)))


def _rows(parts: Sequence[tuple[str, str]], width: int, accent: str) -> list[Content]:
    """Arrange keys and labels in as few lines as possible."""
    rows: list[Content] = []
    for key, word in parts:
        part = Content.assemble((key, f"bold {accent}"), f" {one_line(word, width - 2)}")
        if rows and rows[-1].cell_length + 3 + part.cell_length <= width:
            rows[-1] = rows[-1] + Content("   ") + part
        else:
            rows.append(part)
    return rows
