"""Unloading the chat's model while a training needs the GPU.

A training reports in an event that it needs the whole GPU. The model is unloaded once no reply is
streaming and the input is empty or unchanged for a while. Messages wait until the training ends, with
or without success, and the model is loaded again.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from agent.llama.gguf.llama_file import on_card
from agent.llama.model_leases import GpuLease
from memory.i18n.interface_language import tr
from trainer.events import Event, PlacementChosen

if TYPE_CHECKING:
    from tui.chat.context import ChatContext
    from tui.training.background_trainings import BackgroundTrainings

STILL_SECONDS = 10.0
"""Seconds without a change after which a draft no longer keeps the model loaded."""
UNLOADED = "model unloaded to train; replies wait"


class ModelUnloading:
    """Unloads and loads the model of one open chat."""

    def __init__(self, context: ChatContext, trainings: BackgroundTrainings) -> None:
        """Take the GPU lease of the open chat."""
        chat = context.chat
        self._context, self._trainings = context, trainings
        self._lease = GpuLease(chat.home, on_card(chat.engine.info, chat.settings.model.gpu_layers))
        self._wanted = False
        self._draft, self._since = "", 0.0

    def handle_event(self, event: Event) -> None:
        """Note whether the training needs the whole GPU."""
        if isinstance(event, PlacementChosen):
            self._wanted = event.way == "instead"

    async def poll(self) -> None:
        """Unload or load the model if it is time to.

        Raises:
            ModelError: it cannot be loaded now; the next message tries again.
        """
        engine = self._context.chat.engine
        if self._wanted and self._trainings.running:
            if not engine.unloaded and self._idle():
                await asyncio.to_thread(engine.unload)
                self._lease.release()
        elif engine.unloaded:
            await self.end()
        elif engine.loaded:
            self._lease.acquire()
        self._show()

    async def end(self) -> None:
        """Load the model again after a training.

        Raises:
            ModelError: it cannot be loaded now; the next message tries again.
        """
        self._wanted = False
        engine = self._context.chat.engine
        if engine.unloaded:
            try:
                await asyncio.to_thread(engine.restore)
                self._lease.acquire()
            finally:
                self._show()

    def close(self) -> None:
        """Release the GPU lease."""
        self._lease.release()

    def _idle(self) -> bool:
        """Return whether nobody is typing and no reply is streaming."""
        draft, now = self._context.composer.text, time.monotonic()
        if draft != self._draft:
            self._draft, self._since = draft, now
        still = not draft.strip() or now - self._since >= STILL_SECONDS
        return still and not self._context.reply.streaming

    def _show(self) -> None:
        status = self._context.status
        message = tr(UNLOADED)
        unloaded, passing = self._context.chat.engine.unloaded, status.status.passing
        if passing == ("" if unloaded else message):  # another message there is not overwritten
            status.change(passing=message if unloaded else "")
