"""The chat screen: the talk above, the input below, the status line at the bottom.

Composes the widgets and passes on what they say: text to the talk (`tui/chat/conversation.py`),
commands to their handlers (`tui/chat/handlers/handlers.py`), keys to where they belong. Commands
work while a reply streams.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from textual import events, work
from textual.app import ComposeResult

from memory.errors import DiscernError
from memory.i18n.i18n import tr
from memory.i18n.retold import retold
from memory.journal.journal import Journal
from memory.settings.settings import Home, Settings
from tui.chat.handlers.handlers import Handlers
from tui.chat.opening import Opened, OpeningStep
from tui.chat.reading_stage import ReadingStage
from tui.commands.registry import Command, parse
from tui.markdown.view import Page
from tui.terminal.editor import left_drafts
from tui.terminal.printing import echo
from tui.terminal.sanitize import clean, one_line
from tui.widgets.chat.receipt import Receipt
from tui.widgets.chat.why_card import WhyCard
from tui.widgets.composer.composer import Composer
from tui.widgets.marking.contrast_card import Card
from tui.widgets.marking.mark_picker import MarkPicker

POLL_SECONDS = 2.0


class ChatScreen(ReadingStage):
    """One open chat."""

    DEFAULT_CSS = """
    ChatScreen { layout: vertical; }
    """

    AUTO_FOCUS = "#composer"

    def __init__(
        self, home: Home, settings: Settings, *, thread: str | None = None, new: bool = False
    ) -> None:
        super().__init__(home, settings, self.submit, thread=thread, new=new)
        self._handlers = Handlers(self)
        self._noticed: set[str] = set()
        self._broke = ""
        self._left = False

    def compose(self) -> ComposeResult:
        """Lay the parts down."""
        yield self.transcript
        yield self.panel
        yield self.entry
        yield self.status

    # --- opening and leaving -----------------------------------------------------------------

    def on_mount(self) -> None:
        """Paint first, then load."""
        self.status.change(passing=tr("loading the model…"))
        self.call_after_refresh(self._opening.begin)

    def on_opening_step(self, message: OpeningStep) -> None:
        """Say what the opening is at."""
        if self.status.status.passing:
            self.status.change(passing=f"{retold(message.text)}…")

    async def on_opened(self, message: Opened) -> None:
        """Show the thread, or leave with the sentence that says what is wrong."""
        if message.chat is None:
            assert message.error is not None
            if not isinstance(message.error, DiscernError):
                raise message.error
            self.failed = message.error
            self.app.exit(message.error.exit_code, return_code=message.error.exit_code)
            return
        self._chat = message.chat
        info = message.chat.engine.info
        self.status.change(passing="", model=info.name, context_size=info.context)
        await self.talk.show_thread()
        await self.good_morning()
        self.training.watch_nights(info.path)
        self.set_interval(POLL_SECONDS, self._poll)
        self.app.theme_changed_signal.subscribe(self, self.recolour)
        if not self.composer.text and (draft := await asyncio.to_thread(self._left_draft)):
            self.composer.write(draft)
        if self._send_when_ready and self._send_when_ready == self.composer.text:
            self.submit(self._send_when_ready)  # unless it was written on since

    def _left_draft(self) -> str | None:
        """Return the latest message that an earlier chat could not send."""
        for text in left_drafts(self.home):
            self.chat.journal.drafts.add(text)
        return self.chat.journal.drafts.pop()

    def leave(self) -> None:
        """Leave the application."""
        self._left = True
        self.talk.stop()
        self.app.exit(0)

    def let_go(self) -> None:
        """Close what is open; the screen is gone. A message that was being written when the chat was
        ended from outside is in the input of the next one."""
        self.training.close()
        unsaid = self.talk.close()
        if not self._left:
            self._keep_draft([unsaid, self.entry.draft])
        self._opening.close()

    def _keep_draft(self, texts: list[str]) -> None:
        if texts := [text for text in texts if text.strip()]:
            try:
                with ExitStack() as stack:
                    journal = (
                        self._chat.journal
                        if self._chat
                        else stack.enter_context(Journal(self.home.journal))
                    )
                    for text in texts:
                        journal.drafts.add(text)
            except DiscernError as error:
                said = f"the message that was being written could not be kept ({error}):\n"
                echo(f"discern: {said}{texts[-1]}", err=True)

    # --- talking -----------------------------------------------------------------------------

    def submit(self, text: str) -> None:
        """Send, or do what a command asks."""
        parsed = parse(text.strip())
        asks_the_chat = parsed is None or parsed.command is None or parsed.command.name != "quit"
        if not text.strip():
            return
        if self._chat is None and asks_the_chat:
            self._send_when_ready = text
            self.status.change(passing=tr("loading; sent when ready…"))
            return
        if parsed is None and self.talk.asked:
            self.status.say(tr("The reply is still being written; Esc stops it."))
            return
        self._send_when_ready = ""
        edited = self.entry.editing if parsed is None else None
        self.composer.take()
        if parsed is None:
            self.entry.leave_edit()
            self.ask(text, instead_of=edited)
        else:
            self._run_command(text.strip())

    @work(group="commands")
    async def _run_command(self, text: str) -> None:
        parsed = parse(text)
        assert parsed is not None
        if parsed.command is None:
            name, near = one_line(parsed.name, 30), parsed.nearest
            said = (
                tr("There is no command /{name}; did you mean /{near}?", name=name, near=near)
                if near
                else tr("There is no command /{name}; /help lists them all.", name=name)
            )
            await self.say(said, "error")
            self.entry.give_back(text)
            return
        await self.attempt(getattr(self._handlers, parsed.command.handler)(parsed.argument))

    @work(group="poll", exclusive=True)
    async def _poll(self) -> None:
        try:
            await self._look_around()
        except Exception as error:  # said once, not at every look
            if self._broke != (broke := str(error)):
                self._broke = broke
                await self.say_error(error)
        else:
            self._broke = ""

    async def _look_around(self) -> None:
        await asyncio.to_thread(self.training.attach)
        if not self.training.running:  # its end says so in the right order
            await self.talk.look()
        await self._look_at_what_is_derived()
        self.refresh_status()

    async def _look_at_what_is_derived(self) -> None:
        """Say once what is wrong with the index, the checkpoints or the adapter, which keep nobody from
        talking.

        While the index is made the status line says that recall goes by words alone.
        """
        index = self.chat.memory.notice
        self.status.change(by_words=index is not None)
        if index is not None and "is being made" in index:
            index = None
        for notice in filter(None, (index, *self.chat.notices)):
            if notice not in self._noticed:
                self._noticed.add(notice)
                said = retold(notice)
                await self.say(f"{said[:1].upper()}{said[1:]}.")

    # --- keys --------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Close the menu, stop the reply, or leave the choice of a reply, in this order."""
        if self.query(MarkPicker):
            self.leave_gestures()
        elif self.entry.close_menu() or self.entry.leave_edit():
            pass
        elif self.talk.asked:
            self.talk.stop()
        else:
            self.transcript.choose(None)
            self.entry.aim(None)
            self._drop_hints()
        self.set_focus(self.composer)

    @work
    async def _drop_hints(self) -> None:
        await self.transcript.drop_hints()

    def action_walk(self, step: int) -> None:
        """Move the cursor over the replies."""
        self.transcript.walk(step)
        self.set_focus(self.transcript if self.transcript.chosen else self.composer)

    @work(group="commands")
    async def action_unmark(self) -> None:
        """Take back the last mark of the chosen reply."""
        view = self.transcript.chosen
        if view is not None and view.marks:
            await self.attempt(self._handlers.take_back(view.marks[-1].id))

    @work(group="commands")
    async def on_receipt_undone(self, message: Receipt.Undone) -> None:
        """Take back the mark of a receipt."""
        await self.attempt(self._handlers.take_back(message.difference))

    @work(group="commands")
    async def action_why(self) -> None:
        """Show what was recalled for the chosen reply."""
        if self.transcript.chosen is not None:
            await self.attempt(self._handlers.why())

    @work(group="commands")
    async def action_contrast(self) -> None:
        """Write the three lines of the chosen reply's mark."""
        if self.transcript.chosen is not None:
            await self.attempt(self._handlers.contrast())

    # --- cards -------------------------------------------------------------------------------

    @work(group="commands")
    async def on_card_kept(self, message: Card.Kept) -> None:
        """Keep what was confirmed."""
        await self.attempt(self._handlers.keep(message.card, message.lines))

    @work(group="commands")
    async def on_card_left(self, message: Card.Left) -> None:
        """Leave a mark as it was."""
        await self.attempt(self._handlers.close(message.card))

    @work(group="commands")
    async def on_why_card_pinned(self, message: WhyCard.Pinned) -> None:
        """Pin a recalled difference."""
        await self.attempt(self._handlers.pin_row(message.card, message.difference, message.on))

    @work(group="commands")
    async def on_why_card_left(self, message: WhyCard.Left) -> None:
        """Close the card, and forget what was struck out in it."""
        await self.attempt(self._handlers.leave_why(message.card, message.forgotten))

    def on_composer_page(self, message: Composer.Page) -> None:
        """Scroll the talk."""
        if message.direction < 0:
            self.transcript.scroll_page_up(animate=False)
        else:
            self.transcript.page_down()

    async def on_key(self, event: events.Key) -> None:
        """Writing while a reply is chosen goes on in the input."""
        if await self.took(event):
            return
        if self.focused is self.transcript and event.is_printable:
            self.composer.focus()
            self.composer.insert(event.character or "")
            event.stop()

    def on_paste(self, event: events.Paste) -> None:
        """What is pasted while a reply is chosen, or nothing, is written in the input."""
        if self.focused in (None, self.transcript) and event.text:
            event.stop()
            self.composer.focus()
            self.composer.insert(event.text)

    def on_page_link_clicked(self, event: Page.LinkClicked) -> None:
        """Say where a link leads and copy it; nothing a model wrote is opened by itself."""
        target = clean(event.href)
        self.app.copy_to_clipboard(target)
        self.notify(tr("Copied: {text}", text=one_line(target, 200)), markup=False)

    def pick(self, command: Command) -> None:
        """Begin a command chosen in the palette; one without an argument is done at once."""
        self.composer.focus()
        if command.argument:
            self.composer.write(f"/{command.name} ")
        elif self._chat is not None:
            self._run_command(f"/{command.name}")
