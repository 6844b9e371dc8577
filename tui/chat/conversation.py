"""The talk of the open thread: asking, following the reply, swapping adapters between turns.

Replies and the swapping of adapters share a lock, so an adapter never changes within a reply. What is
asked for while a reply is in the making and must wait for it is kept in `after`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from memory.errors import DiscernError
from memory.i18n.i18n import tr, trn
from memory.i18n.retold import retold
from tui.chat.shown_thread import ShownThread
from tui.chat.stream import ReplyStream
from tui.widgets.chat.hint import Hint
from tui.widgets.chat.recalled import Used
from tui.widgets.chat.turn import TurnView

if TYPE_CHECKING:
    from agent.chat.graph import Finished
    from tui.chat.stage import Stage

Made = TypeVar("Made")

LEAST_FLUSH = 0.05
"""Seconds between two appends at least; five times what the last one took, if that is more."""


class Talk(ShownThread):
    """What goes on between the person and the open chat."""

    def __init__(self, screen: Stage) -> None:
        super().__init__(screen)
        self._stream: ReplyStream | None = None
        self._stopping = False
        self.asked = self.streaming = False
        """Whether a reply is asked for, and whether it is in the making: a command that was sent before
        a message is heeded before it."""
        self.speaking: TurnView | None = None
        """The turn whose reply is in the making."""
        self._after: list[Callable[[], Awaitable[None]]] = []

    def after(self, action: Callable[[], Awaitable[None]]) -> None:
        """Do this as soon as the reply has ended."""
        self._after.append(action)

    def stop(self) -> None:
        """Stop the reply in the making; what was said is kept."""
        self._stopping = True
        if self._stream is not None:
            self._stream.stop()

    def close(self) -> str:
        """Stop the reply and wait for it, a while at most; returns the message that it left without
        even a stopped reply, or ""."""
        self.stop()
        return "" if self._stream is None or self._stream.join() else self._stream.text

    # --- a turn ------------------------------------------------------------------------------

    def ask(self, text: str, *, instead_of: str | None = None) -> None:
        """Ask, and follow the reply to its end; `instead_of` is the turn in whose place it is asked."""
        self.asked, self._stopping = True, False
        self._screen.work_at_reply(lambda: self._ask(text, instead_of))

    async def _ask(self, text: str, instead_of: str | None) -> None:
        self.streaming = True
        self.speaking = view = TurnView(text)
        try:
            async with self._turns:
                await self._speak(view, text, instead_of)
        except Exception as error:  # the chat goes on, and what was asked is not lost
            await self._not_said(view, text, instead_of, error)
        finally:
            self.asked = self.streaming = False
            self._stream = self.speaking = None
        await self._screen.attempt(self._hint(view))
        actions, self._after = self._after, []
        for action in actions:
            await self._screen.attempt(action())

    async def _speak(self, view: TurnView, text: str, instead_of: str | None) -> None:
        transcript = self._screen.transcript
        await self._heed()
        await self._swap()
        await transcript.drop_hints()
        if instead_of and (before := self._screen.view_of(instead_of)):
            await transcript.cut(before)
        await self.leave_early_turns()
        await transcript.add(view)
        transcript.choose(None)
        transcript.follow()
        self._stream = ReplyStream(self._chat, text, instead_of=instead_of)
        if self._stopping:
            self._stream.stop()
        await self._follow(self._stream, view)
        if instead_of and view.turn is not None:
            await self._show_places()

    async def _not_said(
        self, view: TurnView, text: str, instead_of: str | None, error: Exception
    ) -> None:
        """Say why there is no reply, or none that was kept, and give back what was asked.

        What was said until then stays on the screen: it is nowhere else.
        """
        if self._stream is not None:
            self._stream.stop()
        if view.reply.text:
            await view.reply.finish(view.reply.text)
            view.say_aside(tr("not kept"))
        else:
            await view.remove()
        if instead_of and not view.reply.text:  # nothing came of it: what stood there stands there
            await self._screen.attempt(self.show_thread())
        if instead_of and (before := self._screen.view_of(instead_of)):
            self._screen.entry.edit(before)
            self._screen.composer.write(text)
        else:
            self._screen.entry.give_back(text)
        await self._screen.say_error(error)

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
            await stream.rest(max(LEAST_FLUSH, 5 * (time.monotonic() - began)))

    async def _painted(self) -> None:
        """Wait until what was changed is on the screen."""
        painted = asyncio.Event()
        self._screen.call_after_refresh(painted.set)
        with suppress(TimeoutError):
            await asyncio.wait_for(painted.wait(), 1)

    async def _finish(self, view: TurnView, finished: Finished) -> None:
        await view.finish(finished.turn)
        aside: list[str] = []
        if finished.turn.stopped:
            aside.append(tr("stopped"))
        elif finished.reason == "length":
            aside.append(tr("cut off: the longest reply or the context's end was reached"))
        if finished.dropped:
            aside.append(
                trn(
                    "{n} early message no longer fits the context",
                    "{n} early messages no longer fit the context",
                    finished.dropped,
                )
            )
        view.say_aside("; ".join(aside))
        status = self._screen.status
        speed = finished.tokens_per_second or status.status.speed
        status.change(
            context_used=finished.context_used, speed=speed, first_token=finished.first_token
        )

    async def _hint(self, view: TurnView) -> None:
        """Say, gently and seldom, that a reply may be worth a mark."""
        self._screen.refresh_status()
        if view.turn is None or not self._screen.settings.ui.hints:
            return
        hint = await asyncio.to_thread(self._chat.marks.hint, view.turn)
        if hint is not None and self._screen.view_of(hint.turn.id) is not None:
            how = "/diff" if hint.turn.id == view.turn.id else "Alt+↑ d"
            said = tr("{reason}: {how} marks it", reason=retold(hint.reason), how=how)
            await self._screen.transcript.add(Hint(f"◇ {said}", hint.turn.id))

    # --- between turns -----------------------------------------------------------------------

    async def take_adapter(self) -> bool:
        """Serve with what is current now; whether something was said about it."""
        async with self._turns:
            return await self._swap()

    async def alone(self, work: Callable[[], Made]) -> Made:
        """Do this in a thread while no reply is in the making and nothing is swapped; what serves is
        served again afterwards."""
        async with self._turns:
            worn = self._chat.engine.adapter
            try:
                return await asyncio.to_thread(work)
            finally:
                path, scale = worn or (None, 1.0)
                await asyncio.to_thread(self._chat.engine.set_adapter, path, scale)

    async def look(self) -> None:
        """Take a new adapter if one came and no turn is under way."""
        if not self._turns.locked():
            with suppress(DiscernError):
                async with self._turns:
                    await self._heed()
                await self.take_adapter()

    async def _heed(self) -> None:
        """Say that the open thread was renamed, deleted or continued by another process.

        What is shown stays, unless it is there no more: a mark and the next message belong to it.
        """
        said = await asyncio.to_thread(self._chat.thread.sync)
        if said is not None:
            await self._show()
        else:
            said = await asyncio.to_thread(self._chat.thread.continued_elsewhere)
        if said is not None:
            await self._screen.say(said)

    async def _swap(self) -> bool:
        said = await asyncio.to_thread(self._chat.update_adapter)
        if said is None:
            return False
        await self._screen.say(retold(said), "error" if "refused" in said else "done")
        self._screen.refresh_status()
        return True
