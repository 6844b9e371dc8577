"""A turn: the message, the recalled differences, the reply, and receipts of its marks.

The gutter on the left, two columns wide, shows the sign of a message (›) and the status sign of a
marked reply in the colour of its family (`tui/views/mark_status.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from memory.difference import Difference, Turn
from memory.errors import MarkError
from memory.i18n.interface_language import tr
from tui.terminal.sanitize import clean
from tui.views.mark_status import colour, mark_status
from tui.widgets.chat.recalled import RecalledLine, Used
from tui.widgets.chat.receipt_card import ReceiptCard
from tui.widgets.chat.reply import Reply
from tui.widgets.chat.thought import ThoughtLine
from tui.widgets.marking.spans import underline_spans
from tui.widgets.marking.word_picker import WordPicker


class TurnView(Vertical):
    """A message and its reply; `turn` is None until the reply is stored."""

    DEFAULT_CSS = """
    TurnView {
        height: auto;
        margin-top: 1;
        padding-right: 2;
        border-left: blank;
        & > Horizontal { height: auto; }
        & .gutter { width: 2; height: auto; color: $accent; }
        & .asked { width: 1fr; height: auto; color: $foreground; text-style: bold; }
        & .place { width: auto; height: 1; display: none; padding-left: 2; color: $muted; }
        & .under { height: auto; padding-left: 2; color: $muted; }
        & .aside { height: auto; display: none; padding-left: 2; color: $muted; }
        &.-chosen { background: $panel; border-left: thick $accent; }
        &.-chosen .aside { color: $foreground; }
    }
    """

    def __init__(
        self,
        asked: str,
        turn: Turn | None = None,
        *,
        used: Sequence[Used] = (),
        marks: Sequence[Difference] = (),
    ) -> None:
        super().__init__()
        self.turn = turn
        self.asked = asked
        self.marks = list(marks)
        self.retained: frozenset[str] = frozenset()
        self.recalled = RecalledLine(used)
        self.thought = ThoughtLine()
        self.reply = Reply(turn.replied if turn else None)
        self._sign = Static("", markup=False, classes="gutter")
        self._place = Static("", markup=False, classes="place")
        self._aside = Static("", markup=False, classes="aside")
        self._under = Vertical(classes="under")

    def compose(self) -> ComposeResult:
        """Compose the widgets."""
        with Horizontal():
            yield Static("›", markup=False, classes="gutter")
            yield Static(Content(clean(self.asked)), markup=False, classes="asked")
            yield self._place
        yield self.recalled
        yield self.thought
        with Horizontal():
            yield self._sign
            yield self.reply
        yield self._aside
        yield self._under

    def on_mount(self) -> None:
        """Show known marks."""
        self.show_marks(self.marks)
        if self.turn is not None and self.turn.stopped:
            self.show_note(tr("stopped"))

    @property
    def stored_turn(self) -> Turn:
        """The stored turn that this view shows.

        Raises:
            MarkError: the reply was not stored.
        """
        if self.turn is None:
            raise MarkError("the reply was not saved, so nothing was marked; ask again")
        return self.turn

    @property
    def sign(self) -> str:
        """The sign in the reply's gutter."""
        return str(self._sign.content)

    async def finish(self, turn: Turn) -> None:
        """Show the turn as it was stored."""
        self.turn = turn
        await self.reply.finish(turn.replied)

    def show_branch_position(self, text: str) -> None:
        """Show the number of the current branch ("2/3"); "" if there is only one."""
        self._place.update(Content(text and f"‹ {text} ›"))
        self._place.display = bool(text)

    def show_note(self, text: str) -> None:
        """Show a dim line under the reply."""
        self._aside.update(Content(clean(text)))
        self._aside.display = bool(text)

    def show_marks(
        self, marks: Sequence[Difference], retained: frozenset[str] | None = None
    ) -> None:
        """Show these marks in the gutter and underline their parts; remove receipts of others.

        `retained` is the result of `retained_ids`; None keeps the previous one.
        """
        self.marks = list(marks)
        self.retained = self.retained if retained is None else retained
        last = marks[-1] if marks else None
        sign = Content(mark_status(last, self.retained).sign) if last else Content("")
        shade = colour(last, dark=self.app.current_theme.dark) if last else None
        self._sign.update(sign.stylize(shade) if shade else sign)
        self.call_after_refresh(self._underline_marks)
        kept = {mark.id for mark in marks}
        for receipt in self._under.query(ReceiptCard):
            if receipt.difference not in kept:
                receipt.remove()

    async def open(self, widget: Widget) -> None:
        """Mount a widget under the reply, above its receipts, unless the turn was removed."""
        if self.is_attached:
            await self.mount(widget, before=self._under)

    async def replace_reply(self, widget: Widget) -> bool:
        """Replace the reply with a widget; return False if the turn was removed meanwhile."""
        self.show_reply()
        if not self.is_attached or not isinstance(parent := self.reply.parent, Widget):
            return False
        self.reply.display = False
        await parent.mount(widget, after=self.reply)
        return True

    def show_reply(self) -> None:
        """Show the reply again."""
        self.query(WordPicker).remove()
        self.reply.display = True

    def _underline_marks(self) -> None:
        """Underline the marked parts, once the reply is complete."""
        if self.turn is None:
            return
        text, spans = self.reply.text, []
        for span in (mark.span for mark in self.marks if mark.span):
            quote = clean(span.quote)  # the reply is shown sanitized
            at = span.start if text.startswith(quote, span.start) else text.find(quote)
            spans += [(at, at + len(quote))] if quote and at >= 0 else []
        underline_spans(self.reply, text, spans)

    async def add_receipt(self, difference: Difference, text: str) -> None:
        """Show the receipt of a mark, replacing an older one, unless the turn was removed."""
        if not self.is_attached:
            return
        for receipt in self._under.query(ReceiptCard):
            if receipt.difference == difference.id:
                await receipt.remove()
        await self._under.mount(ReceiptCard(difference.id, text))
        others = [mark for mark in self.marks if mark.id != difference.id]
        self.show_marks([*others, difference])
