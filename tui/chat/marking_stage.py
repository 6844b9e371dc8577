"""Marking by gesture in the chat: choosing a reply or a part of it, the picker, keeping what was said.

A mark of a reply that still streams waits until it has ended. Nothing is written before the last key,
and Esc leaves everything as it was.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, work
from textual.binding import BindingType
from textual.widget import Widget

from memory.errors import DiscernError, MarkError
from memory.i18n.i18n import tr
from memory.kinds import in_words
from tui.chat.training_stage import TrainingStage
from tui.keys.bindings import Keyboard, bindings, hints, keyboard_of
from tui.keys.registry import KEYS
from tui.terminal.sanitize import one_line
from tui.widgets.chat.transcript import Told
from tui.widgets.marking.mark_gesture import Passage, in_source
from tui.widgets.marking.mark_picker import MarkPicker
from tui.widgets.marking.spans import selected
from tui.widgets.marking.word_picker import PassageView

if TYPE_CHECKING:
    from tui.chat.handlers.handlers import Handlers
    from tui.widgets.chat.turn import TurnView

Part = tuple[int, int]


class MarkingStage(TrainingStage):
    """What of the chat screen has to do with marking by keys and by the mouse."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("chat"), *bindings("reply")]
    _handlers: Handlers

    @property
    def keyboard(self) -> Keyboard:
        """The keys in force."""
        return keyboard_of(self.app)

    @work(group="commands")
    async def open_help(self) -> None:
        """Open the commands and the keys; while the model loads, too."""
        await self._handlers.help()

    def recolour(self, _theme: object = None) -> None:
        """Show the families in the colours of another ground."""
        self.refresh_marks()

    # --- choosing ----------------------------------------------------------------------------

    def on_transcript_chosen(self, message: Told.Chosen) -> None:
        """Give the keyboard to the replies, or back to the input."""
        if self._in_gesture():  # it was opened since the message was sent
            return
        self.status.change(keys=self._hints(message.view) if message.view is not None else "")
        self.set_focus(self.composer if message.view is None else self.transcript)

    def _hints(self, view: TurnView) -> str:
        """The keys of a chosen reply, as many as 80 columns hold; none that has nothing to do."""
        words = [("mark", tr("mark")), ("passage", tr("a part"))]
        if view.thought.text:
            words.append(("thought", tr("thought")))
        elif view.marks:
            words.append(("unmark", tr("undo")))
        if view.marks:
            words.append(("contrast", tr("contrast")))
        rest = (("why", tr("why")), ("edit", tr("edit")), ("copy", tr("copy")))
        return hints(self.keyboard, (*words, *rest))

    def _in_gesture(self) -> bool:
        at = self.focused
        nodes = at.ancestors_with_self if at is not None else ()
        return any(isinstance(node, MarkPicker | PassageView) for node in nodes)

    def on_text_selected(self, event: events.TextSelected) -> None:
        """Say that what was selected can be marked."""
        if self.selections and isinstance(self._selected(), tuple):
            pairs = (("mark_now", tr("marks it")), ("copy_or_leave", tr("copies it")))
            line = hints(self.keyboard, pairs)
            self.status.say(line, 6.0)

    # These are awaited by the key that asks for them, so that a quick next key finds them open.

    async def action_mark(self) -> None:
        """Mark the chosen reply, or what is selected of it."""
        if self.transcript.chosen is not None or self.selections:
            await self.attempt(self._begin())

    async def action_mark_now(self) -> None:
        """Mark what is selected, else the chosen reply, else the last one."""
        if self._chat is not None and not self.app.screen.is_modal:
            await self.attempt(self._begin())

    async def action_passage(self) -> None:
        """Choose words of the chosen reply."""
        view = self.transcript.chosen
        if view is None:
            return
        if view.turn is None:
            self.status.say(tr("The reply is still being written; words are chosen once it ends."))
            return
        if (passage := Passage.of(view.reply.text)) is None:
            self.status.say(tr("There is no word in this reply."))
            return
        self.leave_gestures()
        shown = PassageView(passage)
        await view.replace_reply(shown)
        self.set_focus(shown)
        begins, leaves = tr("begins a part"), tr("leaves it")
        words = (("grow", begins), ("mark_passage", tr("marks it")), ("back", leaves))
        self.status.change(keys=f"← → ↑ ↓ {tr('words')} · " + hints(self.keyboard, words))

    async def took(self, event: events.Key) -> bool:
        """Do at once what a key asks of the chosen reply, and hand the next ones to the picker.

        Bindings are looked up later than this, when a quick next key has come to the replies too.
        """
        picker = next(iter(self.query(MarkPicker)), None)
        if picker is not None and self.focused in (picker, *picker.lines):
            picker.on_key(event)  # it stops the printable ones that come to it by themselves
            return True
        words = self.focused
        if isinstance(words, PassageView) and self.keyboard.does("mark_passage", event.key):
            event.stop()
            if (view := self._turn_of(words)) is not None:
                await self.attempt(self._open_picker(view, words.passage.span))
            return True
        chosen = self.focused is self.transcript and (self.transcript.chosen or self.selections)
        for key in KEYS if chosen else ():
            if key.where == "reply" and self.keyboard.does(key.id, event.key):
                event.stop()
                await self.run_action(key.action)
                return True
        return False

    # --- the picker --------------------------------------------------------------------------

    async def _begin(self) -> None:
        found = self._selected() if self.selections else None
        if isinstance(found, str):
            self.status.say(found, 6.0)
            return
        view, part = found if found is not None else (self.chosen_or_last, None)
        if view is None:
            raise MarkError("there is no reply to mark yet; ask something first")
        await self._open_picker(view, part)

    async def _open_picker(self, view: TurnView, part: Part | None) -> None:
        from memory.kinds import kinds

        known = list(kinds(self.home).values())
        await self.query(MarkPicker).remove()
        self.status.change(keys="")
        self.transcript.choose(view)
        picker = MarkPicker(known, part, view.reply.text[slice(*part)] if part else "")
        await view.open(picker)
        self.set_focus(picker)
        self.call_after_refresh(picker.scroll_visible, animate=False)

    def _selected(self) -> tuple[TurnView, Part] | str:
        """What the mouse selected, as a part of one reply; or why it cannot be marked."""
        views = [
            view
            for view in self.transcript.turns
            if any(view in widget.ancestors for widget in self.selections)
        ]
        if len(views) != 1:
            return tr("To mark a part, select words of one reply.")
        part = selected(views[0].reply, views[0].reply.text, self.selections)
        return part if isinstance(part, str) else (views[0], part)

    @work(group="commands")
    async def on_passage_view_taken(self, message: PassageView.Taken) -> None:
        """Say what the chosen words are."""
        if (view := self._turn_of(message.view)) is not None:
            await self.attempt(self._open_picker(view, message.span))

    @work(group="commands")
    async def on_passage_view_left(self, message: PassageView.Left) -> None:
        """Show the reply again."""
        view = self._turn_of(message.view)
        self.set_focus(self.transcript)
        self.leave_gestures()
        self.transcript.choose(None)
        self.transcript.choose(view)

    @work(group="commands")
    async def on_mark_picker_left(self, message: MarkPicker.Left) -> None:
        """Leave everything as it was."""
        view = self._turn_of(message.picker)
        self.transcript.choose(None)
        self.set_focus(self.composer)  # first: the next key may ask for another picker
        self.leave_gestures()
        if message.typing and not self.composer.text.strip():
            self.composer.write("/diff ")
            self.entry.aim(view)

    @work(group="commands")
    async def on_mark_picker_said(self, message: MarkPicker.Said) -> None:
        """Keep the mark, or keep it in mind until the reply has ended."""
        picker = message.picker
        view = self._turn_of(picker)
        if view is None:
            return
        mark = dict(message.mark)
        if picker.span is not None and picker.quote:
            mark |= {"quote": picker.quote, "quote_at": picker.span[0]}
        if view.turn is None and self.talk.streaming:
            await self._done()
            words = one_line(_words(mark), 50)
            view.say_aside(
                "◆ " + tr("kept in mind: {words}, marked as the reply ends", words=words)
            )
            self.talk.after(lambda: self._keep(view, mark))
            return
        try:
            await self._keep(view, mark)
        except DiscernError as error:  # the picker stays with what was written in it
            await self.say_error(error)
            return
        await self._done()

    async def _keep(self, view: TurnView, mark: dict[str, Any]) -> None:
        turn = view.kept_turn
        if mark.get("quote"):
            mark = mark | _exact(turn.replied, mark["quote"], mark["quote_at"])
        view.say_aside(tr("stopped") if turn.stopped else "")
        receipt = await asyncio.to_thread(lambda: self.chat.marks.add(turn=turn.id, **mark))
        await self._handlers.kept(receipt)

    async def _done(self) -> None:
        self.clear_selection()
        self.transcript.choose(None)
        self.set_focus(self.composer)
        self.leave_gestures()

    def leave_gestures(self) -> None:
        """Take the picker and the words away; nothing is marked."""
        self.query(MarkPicker).remove()
        for passage in self.query(PassageView):
            if (view := self._turn_of(passage)) is not None:
                view.show_reply()
        self.status.change(keys="")

    def _turn_of(self, widget: Widget) -> TurnView | None:
        return next((view for view in self.transcript.turns if view in widget.ancestors), None)


def _exact(replied: str, quote: str, at: int) -> dict[str, Any]:
    """Return the quote as it stands in the journal, which keeps what the screen leaves out."""
    if replied.startswith(quote, at) or quote in replied:
        return {"quote": quote, "quote_at": at}
    from tui.terminal.sanitize import clean

    found = in_source(replied, clean(replied), at, at + len(quote))
    if found is None:
        raise MarkError("the selected words do not stand in the reply as they are; mark all of it")
    return {"quote": replied[slice(*found)], "quote_at": found[0]}


def _words(mark: dict[str, Any]) -> str:
    moment, kind = mark["moment"], mark.get("kind")
    parts = (tr(moment), kind and in_words(kind), mark.get("sounds"))
    return " ".join(str(part) for part in parts if part)
