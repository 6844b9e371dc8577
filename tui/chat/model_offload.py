"""The chat's model lent to a training that needs its room, while nobody types; and taken back.

A training says in an event that it needs the whole card. The model is put aside as soon as no reply is
in the making and the input is empty or was left alone for a while; what is sent meanwhile waits for
the model, which comes back when the training is over, however it ended.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from agent.llama.gpu_leases import GpuLease
from agent.llama.llama_file import on_card
from memory.i18n.i18n import tr

if TYPE_CHECKING:
    from tui.chat.stage import Stage

STILL_SECONDS = 10.0
"""Nobody types when a draft stands unchanged for so long; an empty input is nobody's."""
AWAY = "model aside to train; replies wait"


class Lending:
    """Where the model of one open chat is."""

    def __init__(self, screen: Stage) -> None:
        """The screen's chat is open."""
        chat = screen.chat
        self._screen = screen
        self._lease = GpuLease(chat.home, on_card(chat.engine.info, chat.settings.model.gpu_layers))
        self._wanted = False
        self._draft, self._since = "", 0.0

    def hear(self, event: dict[str, Any]) -> None:
        """Hear what a training says."""
        if event.get("phase") == "room":
            self._wanted = event.get("way") == "instead"

    async def look(self) -> None:
        """Put the model aside or bring it back, as it is wanted by now.

        Raises:
            ModelError: it cannot be brought back now; the next message tries again.
        """
        engine = self._screen.chat.engine
        if self._wanted and self._screen.training.running:
            if not engine.offloaded and self._quiet():
                await asyncio.to_thread(engine.offload)
                self._lease.release()
        elif engine.offloaded:
            await self.end()
        elif engine.loaded:
            self._lease.acquire()
        self._show()

    async def end(self) -> None:
        """The training is over: the model comes back.

        Raises:
            ModelError: it cannot be brought back now; the next message tries again.
        """
        self._wanted = False
        if self._screen.chat.engine.offloaded:
            try:
                await asyncio.to_thread(self._screen.chat.engine.restore)
                self._lease.acquire()
            finally:
                self._show()

    def close(self) -> None:
        """The chat is left."""
        self._lease.release()

    def _quiet(self) -> bool:
        """Whether nobody types and no reply is in the making."""
        draft, now = self._screen.composer.text, time.monotonic()
        if draft != self._draft:
            self._draft, self._since = draft, now
        still = not draft.strip() or now - self._since >= STILL_SECONDS
        return still and not self._screen.talk.streaming

    def _show(self) -> None:
        status = self._screen.status
        away = tr(AWAY)
        lent, passing = self._screen.chat.engine.offloaded, status.status.passing
        if passing == ("" if lent else away):  # other words that stand there go first
            status.change(passing=away if lent else "")
