"""The chat screen: the talk above, the input below, the status line at the bottom.

Composes the widgets and passes on what they say: text to the talk (`tui/talk.py`), commands to their
handlers (`tui/handlers.py`), keys to where they belong. Commands work while a reply streams.
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from memory.errors import DiscernError, NothingToTrainError
from memory.home import Home, Settings
from tui.commands import Command, parse
from tui.handlers import Handlers
from tui.offers import sources
from tui.opening import Opened, Opening, OpeningStep
from tui.progress import Progress
from tui.talk import Talk
from tui.text import clean, one_line
from tui.training import Training, TrainingEnded, TrainingEvent, TrainingStarted
from tui.widgets.composer import Composer
from tui.widgets.entry import Entry
from tui.widgets.receipt import Receipt
from tui.widgets.status import StatusLine
from tui.widgets.training import TrainingPanel
from tui.widgets.transcript import Transcript
from tui.widgets.turn import TurnView

if TYPE_CHECKING:
    from textual.widgets import Markdown

    from agent.chat import Chat
    from memory.difference import Difference

POLL_SECONDS = 2.0
CHOSEN_HINT = "d mark · u undo · w why · Esc back"
CHOSEN_KEYS = ("d", "u", "w")
"""Keys that mean something while a reply is chosen; others are written."""


class ChatScreen(Screen[None]):
    """One open chat."""

    DEFAULT_CSS = """
    ChatScreen { layout: vertical; }
    """

    AUTO_FOCUS = "#composer"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Stop the reply", show=False),
        Binding("alt+up", "walk(-1)", "Choose a reply", show=False, priority=True),
        Binding("alt+down", "walk(1)", "Choose a reply", show=False, priority=True),
        Binding("ctrl+t", "panel", "Training panel", show=False, priority=True),
        Binding("d", "mark", "Mark the chosen reply", show=False),
        Binding("u", "unmark", "Take its mark back", show=False),
        Binding("w", "why", "What was recalled", show=False),
    ]

    def __init__(
        self, home: Home, settings: Settings, *, thread: str | None = None, new: bool = False
    ) -> None:
        super().__init__()
        self.home, self.settings = home, settings
        self.transcript = Transcript()
        self.entry = Entry(lambda: sources(self._chat))
        self.composer = self.entry.composer
        self.panel = TrainingPanel()
        self.status = StatusLine()
        self.talk = Talk(self)
        self.training = Training(home, settings, self.post_message)
        self._handlers = Handlers(self)
        self._chat: Chat | None = None
        self._counted: object = None
        self._send_when_ready = False
        self.failed: DiscernError | None = None
        self._opening = Opening(home, settings, self.post_message, thread=thread, new=new)

    def compose(self) -> ComposeResult:
        """Lay the parts down."""
        yield self.transcript
        yield self.panel
        yield self.entry
        yield self.status

    # --- opening and leaving -----------------------------------------------------------------

    def on_mount(self) -> None:
        """Paint first, then load."""
        self.status.change(passing="loading the model…")
        self.call_after_refresh(self._opening.begin)

    def on_opening_step(self, message: OpeningStep) -> None:
        """Say what the opening is at."""
        if self.status.status.passing:
            self.status.change(passing=f"{message.text}…")

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
        self.training.watch_nights(info.path)
        self.set_interval(POLL_SECONDS, self._poll)
        if self._send_when_ready:
            self._submit(self.composer.text)

    @property
    def chat(self) -> Chat:
        """The open chat; only for after it was loaded."""
        assert self._chat is not None
        return self._chat

    def leave(self) -> None:
        """Leave the application."""
        self.talk.stop()
        self.app.exit(0)

    def let_go(self) -> None:
        """Close what is open; the screen is gone."""
        self.training.close()
        self.talk.close()
        self._opening.close()

    # --- what handlers use -------------------------------------------------------------------

    @property
    def room(self) -> int:
        """Columns for the text of a notice."""
        return max(30, self.app.size.width - 7)

    async def say(self, text: str, kind: str = "info") -> None:
        """Put a notice at the end of the talk, and show it."""
        await self.transcript.say(text, kind)
        if not self.talk.streaming:
            self.transcript.follow()

    async def say_error(self, error: Exception) -> None:
        """Say what went wrong: our sentences as they are, anything else with its kind."""
        text = str(error)
        if isinstance(error, DiscernError):
            text = text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
        else:
            text = f"Something broke inside Discern ({type(error).__name__}: {text}); the chat goes on."
        quiet = isinstance(error, NothingToTrainError)
        await self.say(text, "info" if quiet else "error")

    async def attempt(self, action: Awaitable[None]) -> None:
        """Await something and say so if it fails."""
        try:
            await action
        except Exception as error:
            await self.say_error(error)

    async def between_turns(self, what: str) -> bool:
        """Whether no reply is in the making; says so if one is."""
        if self.talk.streaming:
            await self.say(f"The reply is still being written; Esc stops it, then {what}.")
        return not self.talk.streaming

    def view_of(self, turn: str) -> TurnView | None:
        """The view of a turn, if it is shown."""
        for view in self.transcript.turns:
            if view.turn is not None and view.turn.id == turn:
                return view
        return None

    @property
    def chosen_or_last(self) -> TurnView | None:
        """The reply under the cursor, else the last one."""
        views = self.transcript.turns
        return self.transcript.chosen or (views[-1] if views else None)

    def unmark(self, difference: Difference) -> None:
        """Take a forgotten difference out of the gutter."""
        if view := self.view_of(difference.turn):
            view.show_marks([mark for mark in view.marks if mark.id != difference.id])

    def refresh_status(self, *, all_of_it: bool = False) -> None:
        """Bring the status line up to date; the waiting are counted anew only when they may differ."""
        if self._chat is None:
            return
        from trainer.schedule import next_run

        night = next_run(self.settings, datetime.now().astimezone())
        adapter = self._chat.adapter
        mark = (self._chat.journal.watermark(), adapter)
        if all_of_it or mark != self._counted:
            self._counted = mark
            self.status.change(waiting=self._chat.waiting())
        self.status.change(
            adapter=adapter.id if adapter else None,
            recalling=self._chat.recalling,
            night=f"night {night:%H:%M}" if night else "",
        )

    # --- talking -----------------------------------------------------------------------------

    def on_entry_sent(self, message: Entry.Sent) -> None:
        """Send, or do what a command asks."""
        self._submit(message.text)

    def _submit(self, text: str) -> None:
        text = text.strip()
        parsed = parse(text)
        asks_the_chat = parsed is None or parsed.command is None or parsed.command.name != "quit"
        if not text:
            return
        if self._chat is None and asks_the_chat:
            self._send_when_ready = True
            self.status.change(passing="loading; sent when ready…")
            return
        if parsed is None and self.talk.streaming:
            self.status.say("The reply is still being written; Esc stops it.")
            return
        self._send_when_ready = False
        self.composer.take()
        if parsed is None:
            self._ask(text)
        else:
            self._run_command(text)

    @work(group="commands")
    async def _run_command(self, text: str) -> None:
        parsed = parse(text)
        assert parsed is not None
        if parsed.command is None:
            guess = (
                f"did you mean /{parsed.nearest}?" if parsed.nearest else "/help lists them all."
            )
            await self.say(f"There is no command /{one_line(parsed.name, 30)}; {guess}", "error")
            self.entry.give_back(text)
            return
        await self.attempt(getattr(self._handlers, parsed.command.handler)(parsed.argument))

    @work(group="reply")
    async def _ask(self, text: str) -> None:
        await self.talk.ask(text)

    @work(group="poll", exclusive=True)
    async def _poll(self) -> None:
        if not self.training.running:  # its end says so in the right order
            await self.talk.look()
        self.refresh_status()

    # --- training ----------------------------------------------------------------------------

    async def begin_training(self, *, force: bool) -> None:
        """Train in the background."""
        if self.training.running:
            await self.say("A training is going on already; /train stop ends it.")
            return
        self.training.begin(self.chat.engine.info.path, force=force)

    async def stop_training(self) -> None:
        """Ask the training to stop."""
        if self.training.running:
            self.panel.stop()
        else:
            await self.say("Nothing is training.")

    def on_training_panel_stopped(self) -> None:
        """Pass the wish on."""
        self.training.stop()

    def on_training_panel_left(self) -> None:
        """Go on writing."""
        self.composer.focus()

    def on_training_started(self, message: TrainingStarted) -> None:
        """Say that it begins; the panel comes with the first event, if there is anything to train."""
        self.status.change(training=Progress().short)

    def on_training_event(self, message: TrainingEvent) -> None:
        """Show how far it is."""
        if self.panel.progress is None:
            self.panel.begin(message.source)
        progress = (self.panel.progress or Progress(message.source)).after(message.event)
        self.panel.change(progress)
        self.status.change(training=progress.short)

    @work(group="training")
    async def _training_over(self, message: TrainingEnded) -> None:
        asked_to_stop = self.panel.stopping
        self.panel.end()
        self.status.change(training="")
        prefix = "Last night: " if message.source == "night" else ""
        if message.report is not None:
            published = message.report.verdict == "published"
            await self.say(
                f"{prefix}{message.report.sentence} /report shows it all.",
                "done" if published else "error",
            )
            await self.talk.take_adapter()
        elif asked_to_stop:
            await self.say("The training was stopped; what served before serves on.")
        elif message.error is not None:
            if message.source == "night":
                await self.say("Last night's training did not end well:")
            await self.say_error(message.error)
        await self.talk.refresh_marks()
        self.refresh_status(all_of_it=True)

    def on_training_ended(self, message: TrainingEnded) -> None:
        """Say what came of it, and serve with it."""
        self._training_over(message)

    # --- keys --------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Close the menu, stop the reply, or leave the choice of a reply, in this order."""
        if self.entry.close_menu():
            pass
        elif self.talk.streaming:
            self.talk.stop()
        else:
            self.transcript.choose(None)
            self.entry.aim(None)
        self.composer.focus()

    def action_walk(self, step: int) -> None:
        """Move the cursor over the replies."""
        self.transcript.walk(step)

    def on_transcript_chosen(self, message: Transcript.Chosen) -> None:
        """Give the keyboard to the replies, or back to the input."""
        self.status.change(passing=CHOSEN_HINT if message.view is not None else "")
        (self.composer if message.view is None else self.transcript).focus()

    def action_mark(self) -> None:
        """Begin a mark of the chosen reply."""
        if (view := self.transcript.chosen) is not None:
            self.transcript.choose(None)
            self.composer.write("/diff ")
            self.entry.aim(view)
            self.composer.focus()

    @work(group="commands")
    async def action_unmark(self) -> None:
        """Forget the last mark of the chosen reply."""
        view = self.transcript.chosen
        if view is not None and view.marks:
            await self.attempt(self._handlers.forget(view.marks[-1].id))

    @work(group="commands")
    async def on_receipt_undone(self, message: Receipt.Undone) -> None:
        """Forget the mark of a receipt."""
        await self.attempt(self._handlers.forget(message.difference))

    def action_why(self) -> None:
        """Unfold or fold what was recalled for the chosen reply."""
        if (view := self.transcript.chosen) is not None:
            view.recalled.toggle()

    def action_panel(self) -> None:
        """Go to the training panel, or back."""
        if self.panel.display and not self.panel.has_focus:
            self.panel.focus()
        else:
            self.composer.focus()

    def on_composer_page(self, message: Composer.Page) -> None:
        """Scroll the talk."""
        if message.direction < 0:
            self.transcript.scroll_page_up(animate=False)
        else:
            self.transcript.scroll_page_down(animate=False)

    def on_key(self, event: events.Key) -> None:
        """Writing while a reply is chosen goes on in the input."""
        if self.transcript.has_focus and event.is_printable and event.key not in CHOSEN_KEYS:
            self.composer.focus()
            self.composer.insert(clean(event.character or ""))
            event.stop()

    def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        """Say where a link leads and copy it; nothing a model wrote is opened by itself."""
        target = clean(event.href)
        self.app.copy_to_clipboard(target)
        self.notify(f"Copied: {one_line(target, 200)}", markup=False)

    def pick(self, command: Command) -> None:
        """Begin a command chosen in the palette; one without an argument is done at once."""
        self.composer.focus()
        if command.argument:
            self.composer.write(f"/{command.name} ")
        elif self._chat is not None:
            self._run_command(f"/{command.name}")
