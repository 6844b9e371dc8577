"""State shared by the controllers and command handlers of a chat screen."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.app import App
from textual.screen import Screen

from memory.errors import MarkError, NothingToTrainError
from memory.i18n.interface_language import tr
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tui.views.error_text import error_text
from tui.widgets.chat.notice import Notice, Refusal
from tui.widgets.chat.transcript import Transcript
from tui.widgets.chat.turn import TurnView
from tui.widgets.composer.composer import Composer
from tui.widgets.composer.entry import Entry
from tui.widgets.composer.status_line import StatusLine
from tui.widgets.training.panel import TrainingPanel

if TYPE_CHECKING:
    from agent.chat.chat import Chat


@dataclass(slots=True)
class ReplyState:
    """State of the current reply.

    A reply is pending before it streams, for example while a command that was sent earlier runs.
    """

    pending: bool = False
    """A message was sent and its reply has not ended."""
    streaming: bool = False
    """The reply is being generated."""
    view: TurnView | None = None
    """The turn that is streaming."""


@dataclass(slots=True)
class ChatContext:
    """Widgets, settings and the open chat of one chat screen."""

    screen: Screen[None]
    home: Home
    settings: Settings
    transcript: Transcript
    entry: Entry
    status: StatusLine
    panel: TrainingPanel
    reply: ReplyState
    open_chat: Chat | None = None
    """None until the model is loaded."""

    @property
    def chat(self) -> Chat:
        """The open chat; available once it is loaded."""
        assert self.open_chat is not None
        return self.open_chat

    @property
    def app(self) -> App[object]:
        """The running application."""
        return self.screen.app

    @property
    def composer(self) -> Composer:
        """The input."""
        return self.entry.composer

    async def say(self, text: str, kind: str = "info") -> None:
        """Add a notice at the end of the conversation and scroll to it."""
        await self._add(Notice(text, kind))

    async def _add(self, notice: Notice) -> None:
        await self.transcript.add(notice)
        if not self.reply.streaming:
            self.transcript.follow()

    async def say_error(self, error: Exception) -> None:
        """Add a notice about an error."""
        if isinstance(error, MarkError):
            await self._add(Refusal(error_text(error)))
            return
        quiet = isinstance(error, NothingToTrainError)
        await self.say(error_text(error), "info" if quiet else "error")

    async def attempt(self, action: Awaitable[None]) -> None:
        """Await `action`; an error becomes a notice."""
        try:
            await action
        except Exception as error:
            await self.say_error(error)

    async def ensure_idle(self, action: str) -> bool:
        """Return whether no reply is streaming; if one is, say that `action` has to wait."""
        if self.reply.streaming:
            await self.say(
                tr(
                    "The reply is still being generated. Press Esc to stop it, then {action}.",
                    action=action,
                )
            )
        return not self.reply.streaming
