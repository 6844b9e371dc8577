"""The slash commands about the talk itself: asking again, editing, and what the model sees."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from memory.errors import MarkError
from memory.i18n.i18n import tr

if TYPE_CHECKING:
    from agent.chat.chat import Chat
    from tui.chat.screen import ChatScreen


class TalkHandlers:
    """Commands that go over what was said; a part of `tui.chat.handlers.handlers.Handlers`."""

    _screen: ChatScreen

    @property
    def _chat(self) -> Chat:
        return self._screen.chat

    async def retry(self, argument: str = "") -> None:
        """Ask the message of the chosen or last reply again; the reply before is kept beside."""
        if not await self._screen.between_turns(tr("ask again")):
            return
        view = self._screen.chosen_or_last
        if view is None or view.turn is None:
            raise MarkError("there is nothing to ask again yet; write a message first")
        self._screen.ask(view.turn.asked, instead_of=view.turn.id)

    async def edit(self, argument: str = "") -> None:
        """Put the message of the chosen or last reply into the input; sending it begins a branch."""
        view = self._screen.chosen_or_last
        if view is None or view.turn is None:
            raise MarkError("there is nothing to edit yet; write a message first")
        self._screen.entry.edit(view)

    async def context(self, argument: str = "") -> None:
        """Show what the model sees for the next message."""
        from agent.chat.context_usage import measure_context
        from tui.screens.context import ContextScreen

        if await self._screen.between_turns(tr("look at the context")):
            draft = argument or self._screen.composer.text
            seen = await asyncio.to_thread(measure_context, self._chat, draft)
            await self._screen.app.push_screen(ContextScreen(seen))
