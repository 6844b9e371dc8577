"""The chat screen: the conversation above, the input below, the status line at the bottom.

It composes the widgets and forwards keys and messages to controllers and command handlers, which share
a `ChatContext`. Commands also run while a reply streams.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

from memory.errors import DiscernError
from memory.i18n.interface_language import tr
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tui.chat.context import ChatContext, ReplyState
from tui.chat.conversation import Conversation
from tui.chat.drafts import keep_drafts, restore_draft
from tui.chat.handlers.command_handlers import command_handlers
from tui.chat.marking_controller import MarkingController
from tui.chat.opening import Opened, Opening, OpeningStep
from tui.chat.polling import Polling
from tui.chat.reply_actions import ReplyActions
from tui.chat.submission import Submission
from tui.chat.thread_view import ThreadView
from tui.chat.training.controller import TrainingController
from tui.commands.completion_sources import sources
from tui.keys.bindings import bindings
from tui.markdown.view import MarkdownView
from tui.terminal.sanitize import clean, one_line
from tui.training.background_trainings import TrainingEnded, TrainingEvent, TrainingStarted
from tui.widgets.chat.receipt_card import ReceiptCard
from tui.widgets.chat.transcript import Transcript
from tui.widgets.chat.why_card import WhyCard
from tui.widgets.composer.composer import Composer
from tui.widgets.composer.entry import Entry
from tui.widgets.composer.status_line import StatusLine
from tui.widgets.marking.contrast_card import ContrastCard
from tui.widgets.marking.mark_picker import MarkPicker
from tui.widgets.marking.word_picker import WordPicker
from tui.widgets.training.panel import TrainingPanel

if TYPE_CHECKING:
    from agent.chat.chat import Chat

POLL_SECONDS = 2.0
UNLOADING_POLL_SECONDS = 1.0
"""Seconds between checks whether a training needs the GPU or the idle time."""


class ChatScreen(Screen[None]):
    """One open chat."""

    DEFAULT_CSS = """
    ChatScreen { layout: vertical; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("chat"), *bindings("reply")]

    AUTO_FOCUS = "#composer"

    def __init__(
        self, home: Home, settings: Settings, *, thread: str | None = None, new: bool = False
    ) -> None:
        super().__init__()
        context = ChatContext(
            screen=self,
            home=home,
            settings=settings,
            transcript=Transcript(),
            entry=Entry(
                lambda: sources(self.context.open_chat),
                lambda text: self.submission.submit(text),
            ),
            status=StatusLine(),
            panel=TrainingPanel(),
            reply=ReplyState(),
        )
        self.context = context
        self.transcript, self.status, self.panel = context.transcript, context.status, context.panel
        self.entry, self.composer = context.entry, context.composer
        self.thread = ThreadView(context)
        self.conversation = Conversation(context, self.thread)
        self.training = TrainingController(context, self.thread, self.conversation)
        self.conversation.on_ask = self.training.message_sent
        self.handlers = command_handlers(
            context,
            self.thread,
            self.conversation,
            self.training,
            begin=lambda command: self.submission.begin_command(command),
            leave=self.leave,
        )
        self.submission = Submission(context, self.conversation, self.handlers)
        self._marking = MarkingController(context, self.conversation, self.handlers.marks)
        self._reply_actions = ReplyActions(context, self.thread)
        self._polling = Polling(context, self.thread, self.conversation, self.training)
        self._opening = Opening(home, settings, self.post_message, thread=thread, new=new)
        self.failed: DiscernError | None = None
        """Why the chat could not be opened."""
        self._quitting = False

    @property
    def chat(self) -> Chat:
        """The open chat; available once it is loaded."""
        return self.context.chat

    def compose(self) -> ComposeResult:
        """Compose the widgets, top to bottom."""
        yield self.transcript
        yield self.panel
        yield self.entry
        yield self.status

    # --- opening and leaving -----------------------------------------------------------------

    def on_mount(self) -> None:
        """Load the model after the first paint."""
        self.status.change(passing=tr("loading the model…"))
        self.call_after_refresh(self._opening.begin)

    def on_opening_step(self, message: OpeningStep) -> None:
        """Show the current step of loading."""
        if self.status.status.passing:
            self.status.change(passing=f"{message.text}…")

    async def on_opened(self, message: Opened) -> None:
        """Show the thread, or exit with the error."""
        if message.chat is None:
            assert message.error is not None
            if not isinstance(message.error, DiscernError):
                raise message.error
            self.failed = message.error
            self.app.exit(message.error.exit_code, return_code=message.error.exit_code)
            return
        chat = self.context.open_chat = message.chat
        info = chat.engine.info
        self.status.change(passing="", model=info.name, context_size=info.context)
        await self.thread.show()
        self.training.start()
        self.set_interval(UNLOADING_POLL_SECONDS, self._poll_unloading)
        self.set_interval(UNLOADING_POLL_SECONDS, self._poll_preparation)
        await self.training.say_last_night()
        self.training.trainings.watch_nights(info.path)
        self.set_interval(POLL_SECONDS, self._poll)
        self.app.theme_changed_signal.subscribe(self, lambda _: self.thread.refresh_marks_later())
        if not self.composer.text:
            draft = await asyncio.to_thread(restore_draft, self.context.home, chat.journal)
            if draft:
                self.composer.write(draft)
        self.submission.submit_waiting()

    def leave(self) -> None:
        """Leave the application."""
        self._quitting = True
        self.conversation.stop()
        self.app.exit(0)

    def close_resources(self) -> None:
        """Close everything after the screen is gone.

        If the user did not quit, unsent messages are kept for the next chat.
        """
        self.training.trainings.close()
        unsent = self.conversation.close()
        if not self._quitting:
            chat = self.context.open_chat
            journal = chat.journal if chat is not None else None
            keep_drafts(self.context.home, journal, [unsent, self.entry.draft])
        self._opening.close()

    def on_unmount(self) -> None:
        """Release the GPU lease and end background work."""
        self.training.close()

    @work(group="poll", exclusive=True)
    async def _poll(self) -> None:
        await self._polling.poll()

    @work(group="unload", exclusive=True)
    async def _poll_unloading(self) -> None:
        await self.training.poll_unloading()

    @work(group="preparation")
    async def _poll_preparation(self) -> None:
        await self.training.poll_preparation()

    @work(group="commands")
    async def open_help(self) -> None:
        """Open the list of commands and keys, even while the model is loading."""
        await self.handlers.application.help()

    # --- keys --------------------------------------------------------------------------------

    async def on_key(self, event: events.Key) -> None:
        """Handle a marking key; forward other printable keys to the input."""
        if await self._marking.handle_key(event):
            return
        if self.focused is self.transcript and event.is_printable:
            self.composer.focus()
            self.composer.insert(event.character or "")
            event.stop()

    def on_paste(self, event: events.Paste) -> None:
        """Paste into the input when a reply is chosen or nothing has the focus."""
        if self.focused in (None, self.transcript) and event.text:
            event.stop()
            self.composer.focus()
            self.composer.insert(event.text)

    def action_back(self) -> None:
        """Close the picker or menu, stop the reply, or clear the cursor: the first that applies."""
        if self.query(MarkPicker):
            self._marking.close_pickers()
        elif self.entry.close_menu() or self.entry.leave_edit():
            pass
        elif self.conversation.pending:
            self.conversation.stop()
        else:
            self.transcript.choose(None)
            self.entry.aim(None)
            self._remove_hints()
        self.set_focus(self.composer)

    @work
    async def _remove_hints(self) -> None:
        await self.transcript.remove_hints()

    def action_walk(self, step: int) -> None:
        """Move the cursor over the replies."""
        self.transcript.walk(step)
        self.set_focus(self.transcript if self.transcript.chosen else self.composer)

    def action_training(self) -> None:
        """Open the training screen."""
        self.training.open_screen()

    # --- reading -----------------------------------------------------------------------------

    @property
    def selected_source(self) -> str:
        """The selection, as Markdown if it is within one reply."""
        return self._reply_actions.selected_text()

    @work(group="earlier")
    async def on_transcript_near_top(self, message: Transcript.NearTop) -> None:
        """Mount earlier turns."""
        if self.context.open_chat is not None:
            await self.context.attempt(self.thread.show_earlier())

    def on_composer_page(self, message: Composer.Page) -> None:
        """Scroll the conversation."""
        if message.direction < 0:
            self.transcript.scroll_page_up(animate=False)
        else:
            self.transcript.page_down()

    async def on_composer_editor(self, message: Composer.Editor) -> None:
        """Open the draft in the user's editor."""
        await self._reply_actions.edit_draft()

    async def action_edit(self) -> None:
        """Put the chosen message into the input."""
        if self.transcript.chosen is not None:
            await self.context.attempt(self.handlers.messages.edit())
            self.transcript.choose(None)

    async def action_retry(self) -> None:
        """Ask the chosen message again."""
        if self.transcript.chosen is not None:
            await self.context.attempt(self.handlers.messages.retry())

    async def action_branch(self, step: int) -> None:
        """Show the previous or next branch of the chosen reply."""
        await self._reply_actions.step_branch(step)

    def action_thought(self) -> None:
        """Fold or unfold the reasoning of the chosen reply."""
        self._reply_actions.toggle_thought()

    def action_copy(self) -> None:
        """Copy the chosen reply's Markdown."""
        self._reply_actions.copy()

    def action_copy_code(self) -> None:
        """Copy the code of the chosen reply, one block per key press."""
        self._reply_actions.copy_code()

    def on_markdown_view_link_clicked(self, event: MarkdownView.LinkClicked) -> None:
        """Copy a link's address; links of a model are never opened."""
        target = clean(event.href)
        self.app.copy_to_clipboard(target)
        self.notify(tr("Copied: {text}", text=one_line(target, 200)), markup=False)

    # --- marking -----------------------------------------------------------------------------

    def on_transcript_chosen(self, message: Transcript.Chosen) -> None:
        """Move the focus with the cursor."""
        self._marking.chosen(message.view)

    def on_text_selected(self, event: events.TextSelected) -> None:
        """Show the keys for the selection."""
        self._marking.text_selected()

    # No workers here: the next key must find the picker open.

    async def action_mark(self) -> None:
        """Mark the selection, or the chosen reply."""
        await self._marking.mark()

    async def action_mark_now(self) -> None:
        """Mark the selection, else the chosen reply, else the last one."""
        await self._marking.mark_now()

    async def action_passage(self) -> None:
        """Choose words of the chosen reply."""
        await self._marking.choose_words()

    @work(group="commands")
    async def on_word_picker_chosen(self, message: WordPicker.Chosen) -> None:
        """Mark the chosen words."""
        await self._marking.words_chosen(message.view, message.span)

    @work(group="commands")
    async def on_word_picker_cancelled(self, message: WordPicker.Cancelled) -> None:
        """Close the word picker."""
        self._marking.word_picker_cancelled(message.view)

    @work(group="commands")
    async def on_mark_picker_cancelled(self, message: MarkPicker.Cancelled) -> None:
        """Close the mark picker."""
        self._marking.mark_picker_cancelled(message.picker, typing=message.typing)

    @work(group="commands")
    async def on_mark_picker_submitted(self, message: MarkPicker.Submitted) -> None:
        """Store the mark chosen in the picker."""
        await self._marking.mark_submitted(message.picker, message.request)

    @work(group="commands")
    async def action_unmark(self) -> None:
        """Remove the latest mark of the chosen reply."""
        view = self.transcript.chosen
        if view is not None and view.marks:
            await self.context.attempt(self.handlers.marks.remove(view.marks[-1].id))

    @work(group="commands")
    async def on_receipt_card_undone(self, message: ReceiptCard.Undone) -> None:
        """Remove the mark of a receipt."""
        await self.context.attempt(self.handlers.marks.remove(message.difference))

    # --- cards -------------------------------------------------------------------------------

    @work(group="commands")
    async def action_contrast(self) -> None:
        """Open the card of the chosen reply's mark."""
        if self.transcript.chosen is not None:
            await self.context.attempt(self.handlers.marks.contrast())

    @work(group="commands")
    async def on_contrast_card_saved(self, message: ContrastCard.Saved) -> None:
        """Store the lines of a card."""
        await self.context.attempt(self.handlers.marks.save_card(message.card, message.lines))

    @work(group="commands")
    async def on_contrast_card_closed(self, message: ContrastCard.Closed) -> None:
        """Close a card."""
        await self.context.attempt(self.handlers.marks.close_card(message.card))

    @work(group="commands")
    async def action_why(self) -> None:
        """Show the differences recalled for the chosen reply."""
        if self.transcript.chosen is not None:
            await self.context.attempt(self.handlers.recall.why())

    @work(group="commands")
    async def on_why_card_pinned(self, message: WhyCard.Pinned) -> None:
        """Pin a recalled difference."""
        handler = self.handlers.recall
        await self.context.attempt(handler.pin(message.card, message.difference, message.on))

    @work(group="commands")
    async def on_why_card_closed(self, message: WhyCard.Closed) -> None:
        """Close the card and forget the differences that are struck out in it."""
        handler = self.handlers.recall
        await self.context.attempt(handler.close_card(message.card, message.forgotten))

    # --- trainings ---------------------------------------------------------------------------

    def on_training_panel_clicked(self) -> None:
        """Open the training screen."""
        self.training.open_screen()

    def on_training_started(self, message: TrainingStarted) -> None:
        """Show that a training started."""
        self.training.started()

    def on_training_event(self, message: TrainingEvent) -> None:
        """Show the progress of a training."""
        self.training.event(message)

    @work(group="training")
    async def on_training_ended(self, message: TrainingEnded) -> None:
        """Show the outcome of a training and load the new adapter."""
        await self.training.ended(message)
