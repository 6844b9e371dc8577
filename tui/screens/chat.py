"""The chat screen: the talk above, the input below, the status line at the bottom.

One turn at a time: replies and the swapping of adapters share a lock, and everything that would change
the thread waits for the end of a reply or says so. Commands work while a reply streams.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Markdown, Static, TextArea

from memory.errors import DiscernError, NothingToTrainError, UnknownIdError
from memory.home import Home, Settings
from tui.commands import Command, Completion, complete, parse
from tui.handlers import Handlers
from tui.offers import sources
from tui.progress import Progress
from tui.stream import ReplyStream
from tui.text import clean, one_line
from tui.training import Training, TrainingEnded, TrainingEvent, TrainingStarted
from tui.widgets.composer import Composer
from tui.widgets.menu import CompletionMenu
from tui.widgets.recalled import Used
from tui.widgets.receipt import Receipt
from tui.widgets.status import StatusLine
from tui.widgets.training import TrainingPanel
from tui.widgets.transcript import Transcript
from tui.widgets.turn import TurnView
from tui.widgets.welcome import Welcome

if TYPE_CHECKING:
    from textual.widget import Widget

    from agent.chat import Chat
    from agent.graph import Finished
    from memory.difference import Difference

SHOWN_TURNS = 60
"""Turns of a resumed thread that are laid down; the earlier ones stay in the journal."""
POLL_SECONDS = 2.0
LEAST_FLUSH = 0.1
PLACEHOLDER = "Ask something · / for commands"


class Loaded(Message):
    """The chat is open, or could not be opened."""

    def __init__(self, chat: Chat | None, error: Exception | None) -> None:
        super().__init__()
        self.chat = chat
        self.error = error


class Step(Message):
    """A step of the opening."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class ChatScreen(Screen[None]):
    """One open chat."""

    DEFAULT_CSS = """
    ChatScreen {
        layout: vertical;
        & #aim { height: auto; display: none; padding: 0 2; color: $accent; }
        & #input { height: auto; padding: 0 2; border-top: solid $line; }
        & #input:focus-within { border-top: solid $line; }
        & #prompt { width: 2; color: $accent; }
    }
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
        self.composer = Composer(PLACEHOLDER)
        self.menu = CompletionMenu()
        self.panel = TrainingPanel()
        self.status = StatusLine()
        self.training = Training(home, settings, self.post_message)
        self.target: TurnView | None = None
        self._aim = Static("", markup=False, id="aim")
        self._wanted_thread, self._new = thread, new
        self._handlers = Handlers(self)
        self._chat: Chat | None = None
        self._turns = asyncio.Lock()
        self._stream: ReplyStream | None = None
        self._afterwards: list[Callable[[], Awaitable[None]]] = []
        self._send_when_ready = False
        self._leaving = False
        self._loader: threading.Thread | None = None

    def compose(self) -> ComposeResult:
        """Lay the parts down."""
        yield self.transcript
        yield self.panel
        yield self.menu
        yield self._aim
        with Horizontal(id="input"):
            yield Static("›", markup=False, id="prompt")
            yield self.composer
        yield self.status

    # --- opening and leaving -----------------------------------------------------------------

    def on_mount(self) -> None:
        """Paint first, then load."""
        self.status.change(passing="loading the model…")
        self.call_after_refresh(self._load)

    def _load(self) -> None:
        self._loader = threading.Thread(target=self._open, name="discern-load", daemon=True)
        self._loader.start()

    def _open(self) -> None:
        try:
            from agent.chat import Chat

            chat = Chat.open(
                self.home,
                self.settings,
                thread=self._wanted_thread,
                new=self._new,
                on_step=self._say_step,
            )
        except Exception as error:
            self.post_message(Loaded(None, error))
            return
        if self._leaving:
            chat.close()
        else:
            self._chat = chat
            self.post_message(Loaded(chat, None))

    def _say_step(self, text: str) -> None:
        self.post_message(Step(text))

    def on_step(self, message: Step) -> None:
        """Say what the opening is at."""
        if self.status.status.passing:
            self.status.change(passing=f"{message.text}…")

    async def on_loaded(self, message: Loaded) -> None:
        """Show the thread, or leave with the sentence that says what is wrong."""
        from tui.app import DiscernApp

        assert isinstance(self.app, DiscernApp)
        if message.chat is None:
            if not isinstance(message.error, DiscernError):
                assert message.error is not None
                raise message.error
            self.app.fail(str(message.error), message.error.exit_code)
            return
        chat = message.chat
        info = chat.engine.info
        self.status.change(passing="", model=info.name, context_size=info.context)
        await self.show_thread()
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
        self.stop_reply()
        self.app.exit(0)

    def let_go(self) -> None:
        """Close what is open; the screen is gone."""
        self._leaving = True
        self.training.close()
        if self._stream is not None:
            self._stream.stop()
            self._stream.join()
        if self._loader is not None:
            self._loader.join(30)
        if self._chat is not None:
            self._chat.close()

    # --- what handlers use -------------------------------------------------------------------

    @property
    def streaming(self) -> bool:
        """Whether a reply is in the making."""
        return self._stream is not None

    @property
    def room(self) -> int:
        """Columns for the text of a notice."""
        return max(30, self.app.size.width - 7)

    async def say(self, text: str, kind: str = "info") -> None:
        """Put a notice at the end of the talk, and show it."""
        await self.transcript.say(text, kind)
        if not self.streaming:
            self.transcript.follow()

    def after_reply(self, action: Callable[[], Awaitable[None]]) -> None:
        """Do this as soon as the reply has ended."""
        self._afterwards.append(action)

    async def between_turns(self, what: str) -> bool:
        """Whether no reply is in the making; says so if one is."""
        if self.streaming:
            await self.say(f"The reply is still being written; Esc stops it, then {what}.")
        return not self.streaming

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

    def give_back(self, text: str, view: TurnView | None = None) -> None:
        """Put a text that was not taken back into the input, unless something is written there."""
        if not self.composer.text.strip():
            self.composer.write(text)
            self.aim(view)

    def aim(self, view: TurnView | None) -> None:
        """Choose which reply the next /diff marks; None means the last one."""
        self.target = view
        self._aim.display = view is not None
        if view is not None:
            said = one_line(view.reply.text or view.asked, max(10, self.room - 12))
            self._aim.update(f"◆ marks: {said}")

    def refresh_status(self) -> None:
        """Bring the status line up to date."""
        if self._chat is None:
            return
        from trainer.schedule import next_run

        night = next_run(self.settings, datetime.now().astimezone())
        adapter = self._chat.adapter
        self.status.change(
            adapter=adapter.id if adapter else None,
            waiting=self._chat.waiting(),
            recalling=self._chat.recalling,
            night=f"night {night:%H:%M}" if night else "",
        )

    # --- the thread --------------------------------------------------------------------------

    async def show_thread(self) -> None:
        """Show the thread that is open, its latest turns."""
        chat = self.chat
        turns = await asyncio.to_thread(chat.turns)
        known = {item.id: item for item in chat.journal.differences()}
        marks: dict[str, list[Difference]] = {}
        for item in known.values():
            marks.setdefault(item.turn, []).append(item)
        widgets: list[Widget] = [
            TurnView(
                turn.asked,
                turn,
                used=[Used(known[item]) for item in turn.recalled if item in known],
                marks=marks.get(turn.id, ()),
            )
            for turn in turns[-SHOWN_TURNS:]
        ]
        await self.transcript.show(widgets or [Welcome()])
        self.composer.remember(turn.asked for turn in turns)
        last = turns[-1] if turns else None
        used = last.prompt_tokens + len(last.surprisal) if last else 0
        self.status.change(context_used=used, speed=0.0)
        self.refresh_status()

    async def refresh_marks(self) -> None:
        """Show where the marked replies stand by now."""
        marks: dict[str, list[Difference]] = {}
        for item in await asyncio.to_thread(self.chat.journal.differences):
            marks.setdefault(item.turn, []).append(item)
        for view in self.transcript.turns:
            if view.turn is not None:
                view.show_marks(marks.get(view.turn.id, ()))

    # --- talking -----------------------------------------------------------------------------

    def on_composer_submitted(self, message: Composer.Submitted) -> None:
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
        if parsed is None and self.streaming:
            self.notify("The reply is still being written; Esc stops it.", timeout=3, markup=False)
            return
        self._send_when_ready = False
        self.composer.take()
        self.menu.offer([])
        if parsed is None:
            self._converse(text)
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
            self.give_back(text)
            return
        try:
            await getattr(self._handlers, parsed.command.handler)(parsed.argument)
        except DiscernError as error:
            await self.say(_sentence(error), "error")

    @work(group="reply", exclusive=False)
    async def _converse(self, text: str) -> None:
        async with self._turns:
            await self._swap()
            view = TurnView(text)
            await self.transcript.add(view)
            self.transcript.choose(None)
            self.transcript.follow()
            self._stream = ReplyStream(self.chat, text)
            try:
                await self._follow(self._stream, view, text)
            finally:
                self._stream = None
        self.refresh_status()
        afterwards, self._afterwards = self._afterwards, []
        for action in afterwards:
            try:
                await action()
            except DiscernError as error:
                await self.say(_sentence(error), "error")

    async def _follow(self, stream: ReplyStream, view: TurnView, text: str) -> None:
        while True:
            batch = await stream.take()
            began = time.monotonic()
            if batch.recalled is not None:
                view.recalled.show(
                    [Used(item.difference, item.score, item.matched) for item in batch.recalled]
                )
            await view.reply.append(batch.text)
            if batch.finished is not None:
                await self._finish(view, batch.finished)
            if batch.error is not None:
                await self._refuse(view, text, batch.error)
            if batch.ended:
                return
            await self._painted()
            await stream.rest(max(LEAST_FLUSH, 5 * (time.monotonic() - began)))

    async def _painted(self) -> None:
        """Wait until what was changed is on the screen."""
        painted = asyncio.Event()
        self.call_after_refresh(painted.set)
        with suppress(TimeoutError):
            await asyncio.wait_for(painted.wait(), 1)

    async def _finish(self, view: TurnView, finished: Finished) -> None:
        await view.finish(finished.turn)
        aside: list[str] = []
        if finished.turn.stopped:
            aside.append("stopped")
        elif finished.reason == "length":
            aside.append("cut off: the longest reply or the context's end was reached")
        if finished.dropped:
            aside.append(f"{finished.dropped} early messages no longer fit the context")
        view.say_aside("; ".join(aside))
        speed = finished.tokens_per_second or self.status.status.speed
        self.status.change(context_used=finished.context_used, speed=speed)

    async def _refuse(self, view: TurnView, text: str, error: Exception) -> None:
        if not isinstance(error, DiscernError):
            raise error
        await view.remove()
        await self.say(_sentence(error), "error")
        self.give_back(text)

    def stop_reply(self) -> None:
        """Stop the reply in the making; what was said is kept."""
        if self._stream is not None:
            self._stream.stop()

    # --- adapters ----------------------------------------------------------------------------

    async def take_adapter(self) -> bool:
        """Serve with what is current now; whether something was said about it."""
        async with self._turns:
            return await self._swap()

    async def _swap(self) -> bool:
        said = await asyncio.to_thread(self.chat.take_adapter)
        if said is None:
            return False
        await self.say(said, "error" if "refused" in said else "done")
        self.refresh_status()
        return True

    @work(group="poll", exclusive=True)
    async def _poll(self) -> None:
        if not self._turns.locked() and self._chat is not None:
            try:
                await self.take_adapter()
                self.refresh_status()
            except DiscernError as error:
                self.notify(clean(str(error)), severity="error", markup=False)

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
        """Show the panel."""
        self.panel.begin(message.source)
        self.status.change(training=Progress().short)

    def on_training_event(self, message: TrainingEvent) -> None:
        """Show how far it is."""
        progress = (self.panel.progress or Progress(message.source)).after(message.event)
        self.panel.change(progress)
        self.status.change(training=progress.short)

    @work(group="training")
    async def _training_over(self, message: TrainingEnded) -> None:
        self.panel.end()
        self.status.change(training="")
        prefix = "Last night: " if message.source == "night" else ""
        if message.report is not None:
            published = message.report.verdict == "published"
            await self.say(
                f"{prefix}{message.report.sentence} /report shows it all.",
                "done" if published else "error",
            )
            await self.take_adapter()
        elif isinstance(message.error, DiscernError):
            quiet = isinstance(message.error, NothingToTrainError)
            await self.say(prefix + _sentence(message.error), "info" if quiet else "error")
        elif message.error is not None:
            kind = type(message.error).__name__
            await self.say(f"{prefix}The training broke down ({kind}: {message.error}).", "error")
        await self.refresh_marks()
        self.refresh_status()

    def on_training_ended(self, message: TrainingEnded) -> None:
        """Say what came of it, and serve with it."""
        self._training_over(message)

    # --- keys --------------------------------------------------------------------------------

    def action_back(self) -> None:
        """Close the menu, stop the reply, or leave the choice of a reply, in this order."""
        if self.menu.chosen is not None:
            self._offer([])
        elif self.streaming:
            self.stop_reply()
        else:
            self.transcript.choose(None)
            self.aim(None)
        self.composer.focus()

    def action_walk(self, step: int) -> None:
        """Move the cursor over the replies."""
        self.transcript.walk(step)

    def on_transcript_chosen(self, message: Transcript.Chosen) -> None:
        """Give the keyboard to the replies, or back to the input."""
        (self.composer if message.view is None else self.transcript).focus()

    def action_mark(self) -> None:
        """Begin a mark of the chosen reply."""
        if (view := self.transcript.chosen) is not None:
            self.transcript.choose(None)
            self.aim(view)
            self.composer.write("/diff ")
            self.composer.focus()

    @work(group="commands")
    async def action_unmark(self) -> None:
        """Forget the last mark of the chosen reply."""
        view = self.transcript.chosen
        if view is not None and view.marks:
            await self._handlers.forget(view.marks[-1].id)

    @work(group="commands")
    async def on_receipt_undone(self, message: Receipt.Undone) -> None:
        """Forget the mark of a receipt."""
        try:
            await self._handlers.forget(message.difference)
        except UnknownIdError as error:
            await self.say(_sentence(error), "error")

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
        if self.transcript.has_focus and event.character and event.is_printable:
            self.composer.focus()
            self.composer.insert(clean(event.character))
            event.stop()

    @on(Markdown.LinkClicked)
    def show_link(self, event: Markdown.LinkClicked) -> None:
        """Say where a link leads and copy it; nothing a model wrote is opened by itself."""
        target = clean(event.href)
        self.app.copy_to_clipboard(target)
        self.notify(f"Copied: {one_line(target, 200)}", markup=False)

    # --- completion --------------------------------------------------------------------------

    @on(TextArea.Changed, "#composer")
    def offer_completions(self) -> None:
        """Offer what the line may become."""
        text = self.composer.text
        if self.target is not None and not text.startswith("/diff"):
            self.aim(None)
        offers = complete(text, sources(self._chat)) if text.startswith("/") else []
        self._offer(offers)

    def _offer(self, offers: list[Completion]) -> None:
        self.menu.offer(offers)
        self.composer.completing = bool(offers)

    def on_composer_menu(self, message: Composer.Menu) -> None:
        """Move in the menu, or take its offer; Enter sends a line that is complete."""
        if message.move:
            self.menu.move(message.move)
            return
        chosen = self.menu.chosen
        text = self.composer.text
        if chosen is None or (message.enter and _complete_as_it_is(text, chosen)):
            self._submit(text)
            return
        self.composer.write(chosen.text)
        if message.enter and chosen.ready and not chosen.text.endswith(" "):
            self._submit(chosen.text)

    def on_completion_menu_picked(self) -> None:
        """Take the offer that was clicked."""
        self.on_composer_menu(Composer.Menu(0))
        self.composer.focus()

    def pick(self, command: Command) -> None:
        """Begin a command chosen in the palette; one without an argument is done at once."""
        self.composer.focus()
        if command.argument:
            self.composer.write(f"/{command.name} ")
        else:
            self._submit_command(command)

    def _submit_command(self, command: Command) -> None:
        draft = self.composer.text
        self._submit(f"/{command.name}")
        if self._chat is not None and draft.strip():
            self.composer.write(draft)


def _complete_as_it_is(text: str, chosen: Completion) -> bool:
    """Whether Enter means the line that stands there, not the offer under the cursor."""
    typed = text.strip()
    if " " not in typed:
        parsed = parse(typed)
        return parsed is not None and parsed.command is not None and text.endswith(" ")
    return text.endswith(" ") or chosen.label == typed.rpartition(" ")[2]


def _sentence(error: Exception) -> str:
    """Return an error's message as a sentence."""
    text = str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
