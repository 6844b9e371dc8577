"""`/retry`, `/edit` and `/context`: repeat or edit a message, and show the prompt."""

from __future__ import annotations

import asyncio

from memory.errors import MarkError
from memory.i18n.interface_language import tr
from tui.chat.context import ChatContext
from tui.chat.conversation import Conversation


class MessageHandler:
    """Repeats and edits messages of the open thread."""

    def __init__(self, context: ChatContext, conversation: Conversation) -> None:
        self._context, self._conversation = context, conversation

    async def retry(self, argument: str = "") -> None:
        """Ask the message of the chosen or last reply again, as a branch."""
        if not await self._context.ensure_idle(tr("ask again")):
            return
        view = self._context.transcript.chosen_or_last
        if view is None or view.turn is None:
            raise MarkError("there is no message to ask again yet; write one first")
        self._conversation.ask(view.turn.asked, instead_of=view.turn.id)

    async def edit(self, argument: str = "") -> None:
        """Put the message of the chosen or last reply into the input; sending it begins a branch."""
        view = self._context.transcript.chosen_or_last
        if view is None or view.turn is None:
            raise MarkError("there is no message to edit yet; write one first")
        self._context.entry.edit(view)

    async def context(self, argument: str = "") -> None:
        """Open the context screen: the prompt for the next message."""
        from agent.chat.context_usage import measure_context
        from tui.screens.context import ContextScreen

        context = self._context
        if await context.ensure_idle(tr("view the context")):
            draft = argument or context.composer.text
            seen = await asyncio.to_thread(measure_context, context.chat, draft)
            await context.app.push_screen(ContextScreen(seen))
