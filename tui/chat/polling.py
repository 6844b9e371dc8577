"""Checking every few seconds for changes that other processes made to the open chat."""

from __future__ import annotations

import asyncio

from memory.i18n.interface_language import render
from memory.sentence import Sentence
from tui.chat.context import ChatContext
from tui.chat.conversation import Conversation
from tui.chat.thread_view import ThreadView
from tui.chat.training.controller import TrainingController
from tui.views.error_text import full_sentence


class Polling:
    """Follows trainings, threads and adapters of other processes; shows each problem once."""

    def __init__(
        self,
        context: ChatContext,
        thread: ThreadView,
        conversation: Conversation,
        training: TrainingController,
    ) -> None:
        self._context, self._thread = context, thread
        self._conversation, self._training = conversation, training
        self._noticed: set[Sentence] = set()
        self._last_error = ""

    async def poll(self) -> None:
        """Check once; a repeated error is not shown again."""
        try:
            await self._poll()
        except Exception as error:
            if self._last_error != (text := str(error)):
                self._last_error = text
                await self._context.say_error(error)
        else:
            self._last_error = ""

    async def _poll(self) -> None:
        trainings = self._training.trainings
        await asyncio.to_thread(trainings.attach)
        if not trainings.running:  # the end of the training does this, in the right order
            await self._conversation.poll()
        await self._show_notices()
        self._thread.refresh_status()

    async def _show_notices(self) -> None:
        """Show new problems with the index, the checkpoints or the adapter.

        While the index is built, only the status line says that recall uses keywords.
        """
        chat = self._context.chat
        index = chat.memory.notice
        self._context.status.change(by_words=index is not None)
        if chat.memory.index_pending:
            index = None
        for notice in filter(None, (index, *chat.notices)):
            if notice not in self._noticed:
                self._noticed.add(notice)
                await self._context.say(full_sentence(render(notice)))
