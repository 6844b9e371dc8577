"""A streaming reply: the model generates in a thread, and the screen reads the text in batches.

The thread never waits for the screen. A stop is repeated until it takes effect, because generation may
not have begun when it is requested.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.terminal.sanitize import StreamCleaner

if TYPE_CHECKING:
    from agent.chat.chat import Chat
    from agent.chat.graph import Finished
    from memory.recall.hybrid_search import Recalled

TICK = 0.2
"""Seconds between two stop requests."""


@dataclass(slots=True)
class StreamUpdate:
    """Text and events since the last batch."""

    text: str = ""
    thought: str = ""
    recalled: Sequence[Recalled] | None = None
    finished: Finished | None = None
    error: Exception | None = None
    ended: bool = False


class ReplyStream:
    """The reply of `chat` to `text`; create and read it in the screen's event loop."""

    def __init__(self, chat: Chat, text: str, *, instead_of: str | None = None) -> None:
        self._chat = chat
        self.text = text
        self._instead_of = instead_of
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._batch = StreamUpdate()
        self._arrived = asyncio.Event()
        self._ended = asyncio.Event()
        self._stopping = False
        self._notified = False
        self._thread = threading.Thread(target=self._generate, name="discern-reply", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the reply and keep its text so far."""
        self._stopping = True
        self._chat.stop()

    async def take(self) -> StreamUpdate:
        """Wait for new text and return all of it."""
        while not self._arrived.is_set():
            try:
                await asyncio.wait_for(self._arrived.wait(), TICK)
            except TimeoutError:
                if self._stopping:
                    self._chat.stop()
        with self._lock:
            batch, self._batch = self._batch, StreamUpdate()
            self._notified = False
            self._arrived.clear()
        return batch

    async def pause(self, seconds: float) -> None:
        """Let text accumulate for `seconds`, or until the reply ends."""
        if self._stopping:
            self._chat.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    def join(self) -> bool:
        """Wait for the thread for a while; return whether it has ended."""
        self._thread.join(5)
        return not self._thread.is_alive()

    def _generate(self) -> None:
        from agent.chat.graph import Delta, Finished, Recalling, Thought

        cleaner, thoughts = StreamCleaner(), StreamCleaner()
        try:
            for event in self._chat.say(self.text, instead_of=self._instead_of):
                if isinstance(event, Delta):
                    self._put(StreamUpdate(text=cleaner.feed(event.text)))
                elif isinstance(event, Thought):
                    self._put(StreamUpdate(thought=thoughts.feed(event.text)))
                elif isinstance(event, Recalling):
                    self._put(StreamUpdate(recalled=event.items))
                elif isinstance(event, Finished):
                    last = StreamUpdate(cleaner.finish(), thoughts.finish(), finished=event)
                    self._put(last)
        except Exception as error:
            self._put(StreamUpdate(error=error))
        finally:
            self._put(StreamUpdate(ended=True))

    def _put(self, more: StreamUpdate) -> None:
        with self._lock:
            batch = self._batch
            batch.text += more.text
            batch.thought += more.thought
            batch.recalled = batch.recalled if more.recalled is None else more.recalled
            batch.finished = batch.finished or more.finished
            batch.error = batch.error or more.error
            batch.ended = batch.ended or more.ended
            if self._notified and not more.ended:
                return  # the screen already knows that there is new text
            self._notified = True
        with suppress(RuntimeError):  # the screen may be gone
            self._loop.call_soon_threadsafe(self._wake, more.ended)

    def _wake(self, ended: bool) -> None:
        self._arrived.set()
        if ended:
            self._ended.set()
