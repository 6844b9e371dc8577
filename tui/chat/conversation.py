"""The conversation of the open thread: sending messages, streaming replies, and adapters.

Replies and adapter changes hold the same lock (`ThreadView.lock`), so the adapter does not change
during a reply.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from memory.errors import DiscernError
from memory.i18n.interface_language import render, tr, trn
from tui.chat.context import ChatContext
from tui.chat.stream import ReplyStream
from tui.chat.thread_view import ThreadView
from tui.widgets.chat.notice import Hint
from tui.widgets.chat.recalled import Used
from tui.widgets.chat.turn import TurnView

if TYPE_CHECKING:
    from agent.chat.chat import Chat
    from agent.chat.graph import Finished

Result = TypeVar("Result")

LEAST_FLUSH = 0.05
"""Minimum seconds between updates of a streaming reply, unless an update takes over a fifth of them."""


class Conversation:
    """Sends messages to the open chat and shows its replies."""

    def __init__(self, context: ChatContext, thread: ThreadView) -> None:
        self._context, self._thread = context, thread
        self._stream: ReplyStream | None = None
        self._stopping = False
        self._after: list[Callable[[], Awaitable[None]]] = []
        self.on_ask: Callable[[], None] = lambda: None
        """Called when a message is sent, before anything else."""

    @property
    def pending(self) -> bool:
        """Whether a reply was requested and has not ended."""
        return self._context.reply.pending

    @property
    def streaming(self) -> bool:
        """Whether a reply is being generated."""
        return self._context.reply.streaming

    @property
    def _chat(self) -> Chat:
        return self._context.chat

    def after(self, action: Callable[[], Awaitable[None]]) -> None:
        """Await `action` as soon as the reply has ended."""
        self._after.append(action)

    def stop(self) -> None:
        """Stop the reply and keep its text so far."""
        self._stopping = True
        if self._stream is not None:
            self._stream.stop()

    def close(self) -> str:
        """Stop the reply and wait for it; return its message if it does not end in time, else ""."""
        self.stop()
        return "" if self._stream is None or self._stream.join() else self._stream.text

    # --- a turn ------------------------------------------------------------------------------

    def ask(self, text: str, *, instead_of: str | None = None) -> None:
        """Send a message and show its reply in a worker.

        If `instead_of` is the id of a turn, the message starts a branch next to it.
        """
        self.on_ask()
        self._context.reply.pending, self._stopping = True, False
        work: Callable[[], Awaitable[None]] = partial(self._ask, text, instead_of)
        self._context.screen.run_worker(work, group="reply")

    async def _ask(self, text: str, instead_of: str | None) -> None:
        reply = self._context.reply
        reply.streaming = True
        reply.view = view = TurnView(text)
        try:
            async with self._thread.lock:
                await self._send(view, text, instead_of)
        except Exception as error:  # the chat continues, and the message is restored
            await self._restore_message(view, text, instead_of, error)
        finally:
            reply.pending = reply.streaming = False
            self._stream = reply.view = None
        await self._context.attempt(self._hint(view))
        actions, self._after = self._after, []
        for action in actions:
            await self._context.attempt(action())

    async def _send(self, view: TurnView, text: str, instead_of: str | None) -> None:
        transcript = self._context.transcript
        await self._follow_other_processes()
        await self._swap_adapter()
        await transcript.remove_hints()
        if instead_of and (before := transcript.view_of(instead_of)):
            await transcript.remove_from(before)
        await self._thread.unmount_early_turns()
        await transcript.add(view)
        transcript.choose(None)
        transcript.follow()
        self._stream = ReplyStream(self._chat, text, instead_of=instead_of)
        if self._stopping:
            self._stream.stop()
        await self._follow(self._stream, view)
        if instead_of and view.turn is not None:
            await self._thread.show_branch_positions()

    async def _restore_message(
        self, view: TurnView, text: str, instead_of: str | None, error: Exception
    ) -> None:
        """Show why there is no stored reply, and put the message back into the input.

        A partial reply stays on the screen, because it is not stored anywhere.
        """
        context = self._context
        if self._stream is not None:
            self._stream.stop()
        if view.reply.text:
            await view.reply.finish(view.reply.text)
            view.show_note(tr("not saved"))
        else:
            await view.remove()
        if instead_of and not view.reply.text:  # show the replaced turn again
            await context.attempt(self._thread.show())
        if instead_of and (before := context.transcript.view_of(instead_of)):
            context.entry.edit(before)
            context.composer.write(text)
        else:
            context.entry.restore(text)
        await context.say_error(error)

    async def _follow(self, stream: ReplyStream, view: TurnView) -> None:
        while True:
            batch = await stream.take()
            began = time.monotonic()
            if batch.recalled is not None:
                view.recalled.show(
                    [Used(item.difference, item.score, item.matched) for item in batch.recalled]
                )
            view.thought.append(batch.thought)
            view.reply.append(batch.text)
            if batch.finished is not None:
                await self._finish(view, batch.finished)
            if batch.error is not None:
                raise batch.error
            if batch.ended:
                return
            await self._painted()
            await stream.pause(max(LEAST_FLUSH, 5 * (time.monotonic() - began)))

    async def _painted(self) -> None:
        """Wait until the last changes are on the screen."""
        painted = asyncio.Event()
        self._context.screen.call_after_refresh(painted.set)
        with suppress(TimeoutError):
            await asyncio.wait_for(painted.wait(), 1)

    async def _finish(self, view: TurnView, finished: Finished) -> None:
        await view.finish(finished.turn)
        notes: list[str] = []
        if finished.turn.stopped:
            notes.append(tr("stopped"))
        elif finished.reason == "length":
            notes.append(tr("cut off: the reply length or context limit was reached"))
        if finished.dropped:
            notes.append(
                trn(
                    "{n} earlier message no longer fits in the context",
                    "{n} earlier messages no longer fit in the context",
                    finished.dropped,
                )
            )
        view.show_note("; ".join(notes))
        status = self._context.status
        speed = finished.tokens_per_second or status.status.speed
        status.change(
            context_used=finished.context_used, speed=speed, first_token=finished.first_token
        )

    async def _hint(self, view: TurnView) -> None:
        """Suggest marking a reply that looks surprising."""
        self._thread.refresh_status()
        if view.turn is None or not self._context.settings.ui.hints:
            return
        hint = await asyncio.to_thread(self._chat.marks.hint, view.turn)
        transcript = self._context.transcript
        if hint is not None and transcript.view_of(hint.turn.id) is not None:
            how = "/diff" if hint.turn.id == view.turn.id else "Alt+↑ d"
            said = tr("{reason}. To mark it: {how}", reason=render(hint.reason), how=how)
            await transcript.add(Hint(f"◇ {said}", hint.turn.id))

    # --- between turns -----------------------------------------------------------------------

    async def take_adapter(self) -> bool:
        """Load the current adapter; return whether it changed."""
        async with self._thread.lock:
            return await self._swap_adapter()

    async def run_exclusively(self, work: Callable[[], Result]) -> Result:
        """Run `work` in a thread while no reply is generated, then restore the adapter."""
        async with self._thread.lock:
            before = self._chat.engine.adapter
            try:
                return await asyncio.to_thread(work)
            finally:
                path, scale = before or (None, 1.0)
                await asyncio.to_thread(self._chat.engine.set_adapter, path, scale)

    async def poll(self) -> None:
        """Apply changes by other processes to the thread and adapter, unless a reply is in progress."""
        if not self._thread.lock.locked():
            with suppress(DiscernError):
                async with self._thread.lock:
                    await self._follow_other_processes()
                await self.take_adapter()

    async def _follow_other_processes(self) -> None:
        """Show whether another process renamed, deleted or continued the open thread.

        Existing turns stay on the screen, because marks and the next message refer to them.
        """
        said = await asyncio.to_thread(self._chat.thread.sync)
        if said is not None:
            await self._thread.reload()
        else:
            said = await asyncio.to_thread(self._chat.thread.continued_elsewhere)
        if said is not None:
            await self._context.say(said)

    async def _swap_adapter(self) -> bool:
        said = await asyncio.to_thread(self._chat.update_adapter)
        if said is None:
            return False
        await self._context.say(
            render(said), "error" if self._context.chat.adapter_refused else "done"
        )
        self._thread.refresh_status()
        return True
