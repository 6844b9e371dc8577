"""Computing answers of the base model for the next night while the chat is idle.

After a while without typing, replies or trainings, a child process computes the answers that the next
night needs (`trainer/night/preparation.py`). It ends when the user types or sends something, and is
started again when the chat is idle, until all answers are there. `[night] prepare` turns it off.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tui.chat.context import ChatContext

if TYPE_CHECKING:
    from trainer.night.preparation import Preparation
    from trainer.night.request import RunRequest
    from tui.training.background_trainings import BackgroundTrainings

IDLE_SECONDS = 20.0
"""Seconds without typing, replies and trainings from which the chat counts as idle."""
TURNS = 5
"""Number of new turns after which the preparation runs again; a mark always starts it."""


class IdlePreparation:
    """Starts and ends the child of one open chat."""

    def __init__(self, context: ChatContext, trainings: BackgroundTrainings) -> None:
        self._context, self._trainings = context, trainings
        self._child: Preparation | None = None
        self._draft, self._active = "", time.monotonic()
        self._done: tuple[int, int] | None = None
        self._doing: tuple[int, int] | None = None
        self._checking = self._closed = False

    @property
    def running(self) -> bool:
        """Whether the child is running."""
        return self._child is not None and self._child.running

    def interrupt(self) -> None:
        """End the child, because the chat is in use."""
        self._active = time.monotonic()
        if self._child is not None:
            if self._child.running:
                self._child.end()
            elif self._child.succeeded:
                self._done = self._doing
            self._child = None

    async def poll(self) -> None:
        """Start or end the child if it is time to."""
        if self._in_use():
            self.interrupt()
            return
        if self._child is not None:
            if not self._child.running:
                # A failure is not repeated until something is marked.
                self._done, self._child = self._doing, None
            return
        if self._checking or time.monotonic() - self._active < IDLE_SECONDS:
            return
        self._checking = True
        try:
            wanted = await asyncio.to_thread(self._wanted)
            if wanted is not None and not self._in_use():
                self._doing, self._child = wanted, self._start()
        finally:
            self._checking = False

    def close(self) -> None:
        """End the child; the chat is closed."""
        self._closed = True
        self.interrupt()

    def _in_use(self) -> bool:
        """Return whether the draft changed since the last call, or a reply or training is running."""
        context, draft = self._context, self._context.composer.text
        typed, self._draft = draft != self._draft, draft
        busy = context.reply.pending or context.reply.streaming or self._trainings.running
        return typed or busy or context.chat.engine.unloaded or self._closed

    def _wanted(self) -> tuple[int, int] | None:
        """Return numbers that identify the work to do; None if there is none or it is not the time."""
        from datetime import datetime

        from trainer.night.due_time import is_quiet, on_battery
        from trainer.night.preparation import fits

        settings, chat = self._context.settings, self._context.chat
        if not (settings.night.enabled and settings.night.prepare):
            return None
        turns = chat.journal.turns.count() // TURNS
        wanted = (chat.journal.differences.change_count(), turns)
        if wanted == self._done or is_quiet(settings, datetime.now().astimezone()):
            return None
        if not settings.night.on_battery and on_battery():
            return None
        return wanted if fits(self._request(), chat.engine.info) else None

    def _start(self) -> Preparation:
        from trainer.night.preparation import Preparation

        return Preparation(self._request())

    def _request(self) -> RunRequest:
        from trainer.night.request import RunRequest

        context = self._context
        return RunRequest(context.home, context.settings, context.chat.engine.info.path)
