"""Marking by keys and mouse: choosing a reply or a part of it, the mark picker, storing the mark.

A mark of a reply that is still streaming is stored when the reply ends. Nothing is stored before the
last key; Esc cancels.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from textual import events
from textual.widget import Widget

from memory.errors import DiscernError, MarkError
from memory.i18n.interface_language import tr
from memory.kinds import in_words
from memory.mark_validation import MarkRequest
from tui.chat.context import ChatContext
from tui.chat.conversation import Conversation
from tui.chat.handlers.marks import MarkHandler
from tui.chat.reply_actions import selected_part
from tui.keys.bindings import Keyboard, hints, keyboard_of
from tui.keys.registry import KEYS
from tui.terminal.sanitize import clean, one_line
from tui.widgets.chat.turn import TurnView
from tui.widgets.marking.mark_gesture import Passage, find_in_source
from tui.widgets.marking.mark_picker import MarkPicker
from tui.widgets.marking.spans import TextRange
from tui.widgets.marking.word_picker import WordPicker


class MarkingController:
    """Opens and closes the mark picker and the word picker, and stores what they return."""

    def __init__(
        self, context: ChatContext, conversation: Conversation, marks: MarkHandler
    ) -> None:
        self._context, self._conversation, self._marks = context, conversation, marks

    @property
    def _keyboard(self) -> Keyboard:
        return keyboard_of(self._context.app)

    # --- choosing ----------------------------------------------------------------------------

    def chosen(self, view: TurnView | None) -> None:
        """Focus the transcript while a reply is chosen, else the input."""
        if self._picker_has_focus():  # opened since the reply was chosen
            return
        context = self._context
        context.status.change(keys=self._hints(view) if view is not None else "")
        context.screen.set_focus(context.composer if view is None else context.transcript)

    def _hints(self, view: TurnView) -> str:
        """Return the hints of the keys that apply to a chosen reply, as many as fit into 80 columns."""
        words = [("mark", tr("mark")), ("passage", tr("part"))]
        if view.thought.text:
            words.append(("thought", tr("thought")))
        elif view.marks:
            words.append(("unmark", tr("undo")))
        if view.marks:
            words.append(("contrast", tr("contrast")))
        rest = (("why", tr("why")), ("edit", tr("edit")), ("copy", tr("copy")))
        return hints(self._keyboard, (*words, *rest))

    def _picker_has_focus(self) -> bool:
        focused = self._context.screen.focused
        nodes = focused.ancestors_with_self if focused is not None else ()
        return any(isinstance(node, MarkPicker | WordPicker) for node in nodes)

    def text_selected(self) -> None:
        """Show the keys that mark and copy the selection."""
        if self._context.screen.selections and isinstance(selected_part(self._context), tuple):
            pairs = (("mark_now", tr("mark it")), ("copy_or_leave", tr("copy it")))
            self._context.status.say(hints(self._keyboard, pairs), 6.0)

    async def mark(self) -> None:
        """Mark the selection, or the chosen reply."""
        if self._context.transcript.chosen is not None or self._context.screen.selections:
            await self._context.attempt(self._begin())

    async def mark_now(self) -> None:
        """Mark the selection, else the chosen reply, else the last one."""
        if self._context.open_chat is not None and not self._context.app.screen.is_modal:
            await self._context.attempt(self._begin())

    async def choose_words(self) -> None:
        """Open the word picker in the chosen reply."""
        view, status = self._context.transcript.chosen, self._context.status
        if view is None:
            return
        if view.turn is None:
            status.say(tr("The reply is still being generated. You can select words when it ends."))
            return
        if (passage := Passage.of(view.reply.text)) is None:
            status.say(tr("This reply contains no words."))
            return
        self.close_pickers()
        shown = WordPicker(passage)
        if not await view.replace_reply(shown):
            return
        self._context.screen.set_focus(shown, scroll_visible=False)  # it is not laid out yet
        begins, leaves = tr("start selecting"), tr("cancel")
        words = (("grow", begins), ("mark_passage", tr("mark it")), ("back", leaves))
        status.change(keys=f"← → ↑ ↓ {tr('words')} · " + hints(self._keyboard, words))

    async def handle_key(self, event: events.Key) -> bool:
        """Handle a key for the chosen reply or an open picker; return whether it was handled.

        Textual would look up the binding later, when the next key may already have been dispatched.
        """
        screen, transcript = self._context.screen, self._context.transcript
        picker = next(iter(screen.query(MarkPicker)), None)
        if picker is not None and screen.focused in (picker, *picker.lines):
            picker.on_key(event)  # which also stops the key
            return True
        words = screen.focused
        if isinstance(words, WordPicker) and self._keyboard.does("mark_passage", event.key):
            event.stop()
            await self.words_chosen(words, words.passage.span)
            return True
        chosen = screen.focused is transcript and (transcript.chosen or screen.selections)
        for key in KEYS if chosen else ():
            if key.where == "reply" and self._keyboard.does(key.id, event.key):
                event.stop()
                await screen.run_action(key.action)
                return True
        return False

    # --- the pickers -------------------------------------------------------------------------

    async def _begin(self) -> None:
        context = self._context
        found = selected_part(context) if context.screen.selections else None
        if isinstance(found, str):
            context.status.say(found, 6.0)
            return
        view, part = found if found is not None else (context.transcript.chosen_or_last, None)
        if view is None:
            raise MarkError("there is no reply to mark yet; ask something first")
        await self._open_picker(view, part)

    async def _open_picker(self, view: TurnView, part: TextRange | None) -> None:
        from memory.kinds import kinds

        screen = self._context.screen
        known = list(kinds(self._context.home).values())
        await screen.query(MarkPicker).remove()
        self._context.status.change(keys="")
        self._context.transcript.choose(view)
        picker = MarkPicker(known, part, view.reply.text[slice(*part)] if part else "")
        await view.open(picker)
        screen.set_focus(picker, scroll_visible=False)  # it is not laid out yet
        screen.call_after_refresh(picker.scroll_visible, animate=False)

    async def words_chosen(self, words: WordPicker, span: TextRange) -> None:
        """Open the mark picker for the chosen words."""
        if (view := self._turn_of(words)) is not None:
            await self._context.attempt(self._open_picker(view, span))

    def word_picker_cancelled(self, words: WordPicker) -> None:
        """Replace the word picker with the reply."""
        view, transcript = self._turn_of(words), self._context.transcript
        self._context.screen.set_focus(transcript)
        self.close_pickers()
        transcript.choose(None)
        transcript.choose(view)

    def mark_picker_cancelled(self, picker: MarkPicker, *, typing: bool) -> None:
        """Close the mark picker without a mark; with `typing`, begin a /diff command instead."""
        context = self._context
        view = self._turn_of(picker)
        context.transcript.choose(None)
        context.screen.set_focus(context.composer)  # first: the next key may open another picker
        self.close_pickers()
        if typing and not context.composer.text.strip():
            context.composer.write("/diff ")
            context.entry.aim(view)

    async def mark_submitted(self, picker: MarkPicker, request: MarkRequest) -> None:
        """Store the chosen mark, now or when the reply ends."""
        view = self._turn_of(picker)
        if view is None:
            return
        if picker.span is not None and picker.quote:
            request = replace(request, quote=picker.quote, quote_at=picker.span[0])
        if view.turn is None and self._conversation.streaming:
            self._finish()
            words = one_line(_summary(request), 50)
            view.show_note("◆ " + tr("will be marked when the reply ends: {words}", words=words))
            self._conversation.after(lambda: self._store(view, request))
            return
        try:
            await self._store(view, request)
        except DiscernError as error:  # the picker stays open with its text
            await self._context.say_error(error)
            return
        self._finish()

    async def _store(self, view: TurnView, request: MarkRequest) -> None:
        turn = view.stored_turn
        request = _with_stored_quote(turn.replied, request)
        view.show_note(tr("stopped") if turn.stopped else "")
        receipt = await asyncio.to_thread(self._context.chat.marks.add, request, turn=turn.id)
        await self._marks.show_receipt(receipt)

    def _finish(self) -> None:
        context = self._context
        context.screen.clear_selection()
        context.transcript.choose(None)
        context.screen.set_focus(context.composer)
        self.close_pickers()

    def close_pickers(self) -> None:
        """Close the mark picker and the word picker without a mark."""
        screen = self._context.screen
        screen.query(MarkPicker).remove()
        for passage in screen.query(WordPicker):
            if (view := self._turn_of(passage)) is not None:
                view.show_reply()
        self._context.status.change(keys="")

    def _turn_of(self, widget: Widget) -> TurnView | None:
        return self._context.transcript.turn_around(widget)


def _with_stored_quote(replied: str, request: MarkRequest) -> MarkRequest:
    """Return the request with the quote as stored, including characters that are not shown.

    Raises:
        MarkError: the reply does not contain the quote.
    """
    quote, at = request.quote, request.quote_at
    if not quote or at is None or replied.startswith(quote, at) or quote in replied:
        return request
    found = find_in_source(replied, clean(replied), at, at + len(quote))
    if found is None:
        raise MarkError(
            "the selected text does not occur in the reply as selected; mark the whole reply"
        )
    return replace(request, quote=replied[slice(*found)], quote_at=found[0])


def _summary(request: MarkRequest) -> str:
    kind = request.kind
    parts = (tr(request.moment), kind and in_words(kind), request.sounds)
    return " ".join(str(part) for part in parts if part)
