"""What the chat screen consists of, and what commands and parts of it say through it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING

from textual import work
from textual.screen import Screen

from memory.errors import DiscernError, NothingToTrainError
from memory.i18n.i18n import tr
from memory.i18n.retold import retold
from memory.settings.settings import Home, Settings
from tui.chat.conversation import Talk
from tui.chat.opening import Opening
from tui.commands.completion_sources import sources
from tui.training.training import Training
from tui.widgets.chat.transcript import Told
from tui.widgets.chat.turn import TurnView
from tui.widgets.composer.entry import Entry
from tui.widgets.composer.status_line import StatusLine
from tui.widgets.training.panel import TrainingPanel

if TYPE_CHECKING:
    from agent.chat.chat import Chat
    from memory.difference import Difference


class Stage(Screen[None]):
    """The widgets of a chat and the words through which they are used."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        submit: Callable[[str], None],
        *,
        thread: str | None = None,
        new: bool = False,
    ) -> None:
        """`submit` sends what was written, or does what it asks."""
        super().__init__()
        self.home, self.settings = home, settings
        self.transcript = Told()
        self.entry = Entry(lambda: sources(self._chat), submit)
        self.composer = self.entry.composer
        self.panel = TrainingPanel()
        self.status = StatusLine()
        self.talk = Talk(self)
        self.training = Training(home, settings, self.post_message)
        self._chat: Chat | None = None
        self._counted: object = None
        self._send_when_ready = ""
        self.failed: DiscernError | None = None
        self._opening = Opening(home, settings, self.post_message, thread=thread, new=new)

    @property
    def chat(self) -> Chat:
        """The open chat; only for after it was loaded."""
        assert self._chat is not None
        return self._chat

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
        """Say what went wrong."""
        quiet = isinstance(error, NothingToTrainError)
        await self.say(what_broke(error), "info" if quiet else "error")

    async def attempt(self, action: Awaitable[None]) -> None:
        """Await something and say so if it fails."""
        try:
            await action
        except Exception as error:
            await self.say_error(error)

    async def between_turns(self, what: str) -> bool:
        """Whether no reply is in the making; says so if one is."""
        if self.talk.streaming:
            await self.say(
                tr("The reply is still being written; Esc stops it, then {what}.", what=what)
            )
        return not self.talk.streaming

    def ask(self, text: str, *, instead_of: str | None = None) -> None:
        """Ask, in the place of another message if one is named."""
        self.talk.ask(text, instead_of=instead_of)

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

    @work(group="marks", exclusive=True)
    async def refresh_marks(self) -> None:
        """Show every mark in sight as it is by now."""
        await self.talk.refresh_marks()

    @work(group="reply")
    async def work_at_reply(self, job: Callable[[], Awaitable[None]]) -> None:
        """Do what a reply takes, beside everything else."""
        await job()

    def refresh_status(self, *, all_of_it: bool = False) -> None:
        """Bring the status line up to date; the waiting are counted anew only when they may differ."""
        if self._chat is None:
            return
        from trainer.night.due_time import next_run

        night = next_run(self.settings, datetime.now().astimezone())
        adapter = self._chat.adapter
        mark = (self._chat.journal.differences.change_count(), adapter)
        if all_of_it or mark != self._counted:
            changed_elsewhere = self._counted is not None and not all_of_it
            self._counted = mark
            if changed_elsewhere:  # such as by a night of another process
                self.refresh_marks()
            self.status.change(waiting=self._chat.marks.waiting())
        self.status.change(
            adapter=adapter.id if adapter else None,
            scale=adapter.manifest.scale if adapter else 1.0,
            recalling=self._chat.recalling,
            night=tr("night {time}", time=f"{night:%H:%M}") if night else "",
        )


def what_broke(error: Exception) -> str:
    """Return what went wrong: our sentences as they are, anything else with its kind."""
    text = str(error)
    if isinstance(error, DiscernError):
        text = retold(text)
        return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
    return tr(
        "Something broke inside Discern ({kind}: {text}); the chat goes on.",
        kind=type(error).__name__,
        text=text,
    )
