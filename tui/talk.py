"""The talk of the open thread: asking, following the reply, swapping adapters between turns.

Replies and the swapping of adapters share a lock, so an adapter never changes within a reply. What is
asked for while a reply is in the making and must wait for it is kept in `after`.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from memory.errors import DiscernError
from tui.fates import held_before
from tui.stream import ReplyStream
from tui.widgets.composer import KEPT
from tui.widgets.hint import Hint
from tui.widgets.recalled import Used
from tui.widgets.turn import TurnView
from tui.widgets.welcome import Welcome

if TYPE_CHECKING:
    from textual.widget import Widget

    from agent.chat import Chat
    from agent.graph import Finished
    from memory.difference import Difference, Turn
    from tui.screens.stage import Stage

Made = TypeVar("Made")

SHOWN_TURNS = 4
"""Turns of a resumed thread that are laid down at once; where there is room left, more follow."""
EARLIER_TURNS = 8
"""Earlier turns that are laid down each time they come near."""
LEAST_FLUSH = 0.05
"""Seconds between two appends at least; five times what the last one took, if that is more."""


class Talk:
    """What goes on between the person and the open chat."""

    def __init__(self, screen: Stage) -> None:
        self._screen = screen
        self._turns = asyncio.Lock()
        self._stream: ReplyStream | None = None
        self._stopping = False
        self.asked = self.streaming = False
        """Whether a reply is asked for, and whether it is in the making: a command that was sent before
        a message is heeded before it."""
        self._first: str | None = None
        self._laying = asyncio.Lock()
        self._after: list[Callable[[], Awaitable[None]]] = []

    @property
    def _chat(self) -> Chat:
        return self._screen.chat

    def after(self, action: Callable[[], Awaitable[None]]) -> None:
        """Do this as soon as the reply has ended."""
        self._after.append(action)

    def stop(self) -> None:
        """Stop the reply in the making; what was said is kept."""
        self._stopping = True
        if self._stream is not None:
            self._stream.stop()

    def close(self) -> None:
        """Stop the reply and wait for it, a while at most."""
        self.stop()
        if self._stream is not None:
            self._stream.join()

    # --- a turn ------------------------------------------------------------------------------

    def ask(self, text: str, *, instead_of: str | None = None) -> None:
        """Ask, and follow the reply to its end; `instead_of` is the turn in whose place it is asked."""
        self.asked, self._stopping = True, False
        self._screen.run_worker(self._ask(text, instead_of), group="reply")

    async def _ask(self, text: str, instead_of: str | None) -> None:
        self.streaming, view = True, TurnView(text)
        try:
            async with self._turns:
                await self._speak(view, text, instead_of)
        except Exception as error:  # the chat goes on, and what was asked is not lost
            await self._not_said(view, text, instead_of, error)
        finally:
            self.asked = self.streaming = False
            self._stream = None
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
        """Say why there is no reply, and give back what was asked."""
        if self._stream is not None:
            self._stream.stop()
        await view.remove()
        if instead_of:  # nothing came of it: what stood there stands there
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
            aside.append("stopped")
        elif finished.reason == "length":
            aside.append("cut off: the longest reply or the context's end was reached")
        if finished.dropped:
            aside.append(f"{finished.dropped} early messages no longer fit the context")
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
        hint = await asyncio.to_thread(self._chat.hint, view.turn)
        if hint is not None:
            how = "/diff marks it" if hint.turn.id == view.turn.id else "Alt+↑ d marks it"
            await self._screen.transcript.add(Hint(f"◇ {hint.reason}: {how}", hint.turn.id))

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
        """Say that the open thread was renamed or deleted by another process, and show what is left."""
        said = await asyncio.to_thread(self._chat.follow)
        if said is not None:
            await self._show()
            await self._screen.say(said)

    async def _swap(self) -> bool:
        said = await asyncio.to_thread(self._chat.take_adapter)
        if said is None:
            return False
        await self._screen.say(said, "error" if "refused" in said else "done")
        self._screen.refresh_status()
        return True

    # --- the thread --------------------------------------------------------------------------

    async def show_thread(self, choose: str | None = None) -> None:
        """Show the chosen branch of the open thread, its latest turns; the cursor goes on `choose`.

        What is asked meanwhile is asked below them.
        """
        async with self._turns:
            await self._show(choose)

    async def _show(self, choose: str | None = None) -> None:
        read = functools.partial(self._chat.journal.branch, self._chat.thread, limit=KEPT)
        latest = await asyncio.to_thread(read)
        first = next((at for at, turn in enumerate(latest) if turn.id == choose), len(latest))
        shown = latest[max(0, min(len(latest) - SHOWN_TURNS, first)) :]
        self._first = shown[0].id if shown else None
        await self._screen.transcript.show(await self._views(shown) or [Welcome()])
        await self.refresh_marks()
        await self._show_places()
        self._screen.composer.remember(turn.asked for turn in latest if turn.asked)
        last = shown[-1] if shown else None
        used = last.prompt_tokens + len(last.surprisal) if last else 0
        self._screen.status.change(context_used=used, speed=0.0, first_token=0.0)
        self._screen.refresh_status()
        if choose is not None:
            self._screen.transcript.choose(self._screen.view_of(choose))

    async def show_earlier(self) -> None:
        """Lay down what was said before the first turn that is shown, until a page is left above."""
        if self._laying.locked():
            return
        async with self._laying:
            while self._first is not None and self._screen.transcript.near_top:
                thread, first = self._chat.thread, self._first
                read = functools.partial(
                    self._chat.journal.branch, thread, limit=EARLIER_TURNS, before=first
                )
                turns = await asyncio.to_thread(read)
                views = await self._views(turns)
                if (thread, first) != (self._chat.thread, self._first):
                    return  # another thread or branch was opened meanwhile
                self._first = turns[0].id if turns else None
                await self._screen.transcript.put_before(views)
                await self.refresh_marks()
                await self._show_places()

    async def choose_branch(self, turn: str) -> None:
        """Go on where the branch of this turn ended, with the cursor on it."""
        await asyncio.to_thread(self._chat.journal.choose_branch, turn)
        await self.show_thread(turn)

    async def _views(self, turns: list[Turn]) -> list[Widget]:
        turns = [turn for turn in turns if turn.asked]
        known = {item.id: item for item in await self._recalled(turns)}
        return [
            TurnView(
                turn.asked,
                turn,
                used=[Used(known[item]) for item in turn.recalled if item in known],
            )
            for turn in turns
        ]

    async def _show_places(self) -> None:
        views = {view.turn.id: view for view in self._screen.transcript.turns if view.turn}
        found = await asyncio.to_thread(self._chat.journal.siblings, list(views))
        for turn, view in views.items():
            view.show_place(str(found[turn]) if turn in found else "")

    async def refresh_marks(self) -> None:
        """Show where the marked replies stand by now."""
        views = {view.turn.id: view for view in self._screen.transcript.turns if view.turn}
        marks = _by_turn(await self._marks(list(views)))
        held = await asyncio.to_thread(held_before, self._chat.home.adapters)
        for turn, view in views.items():
            view.show_marks(marks.get(turn, ()), held)

    async def _marks(self, turns: list[str]) -> list[Difference]:
        return await asyncio.to_thread(self._chat.journal.of_turns, turns)

    async def _recalled(self, turns: list[Turn]) -> list[Difference]:
        wanted = list(dict.fromkeys(item for turn in turns for item in turn.recalled))
        return await asyncio.to_thread(self._chat.journal.found, wanted)


def _by_turn(differences: Iterable[Difference]) -> dict[str, list[Difference]]:
    marks: dict[str, list[Difference]] = {}
    for item in differences:
        marks.setdefault(item.turn, []).append(item)
    return marks
