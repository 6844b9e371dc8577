"""The open thread as it is shown: the latest turns of its chosen branch, earlier ones as they come
near, and where their marks and branches stand.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tui.views.mark_status import held_before
from tui.widgets.chat.recalled import Used
from tui.widgets.chat.turn import TurnView
from tui.widgets.chat.welcome import Welcome
from tui.widgets.composer.composer import KEPT

if TYPE_CHECKING:
    from textual.widget import Widget

    from agent.chat.chat import Chat
    from memory.difference import Difference, Turn
    from tui.chat.stage import Stage

SHOWN_TURNS = 4
"""Turns of a resumed thread that are laid down at once; where there is room left, more follow."""
EARLIER_TURNS = 8
"""Earlier turns that are laid down each time they come near."""
MOST_TURNS = 80
"""Turns that stand on the screen at most when another is asked; of more, the latest half stays."""


class ShownThread:
    """The part of `tui.chat.conversation.Talk` that lays turns down."""

    def __init__(self, screen: Stage) -> None:
        self._screen = screen
        self._turns = asyncio.Lock()
        """Held while a reply is in the making or something is shown or swapped between two."""
        self._first: str | None = None
        self._laying = asyncio.Lock()

    @property
    def _chat(self) -> Chat:
        return self._screen.chat

    async def show_thread(self, choose: str | None = None) -> None:
        """Show the chosen branch of the open thread, its latest turns; the cursor goes on `choose`.

        What is asked meanwhile is asked below them.
        """
        async with self._turns:
            await self._show(choose)

    async def _show(self, choose: str | None = None) -> None:
        read = functools.partial(
            self._chat.journal.branches.current, self._chat.thread.name, limit=KEPT
        )
        latest = await asyncio.to_thread(read)
        self._chat.thread.position = latest[-1].id if latest else ""
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
                thread, first = self._chat.thread.name, self._first
                read = functools.partial(
                    self._chat.journal.branches.current, thread, limit=EARLIER_TURNS, before=first
                )
                turns = await asyncio.to_thread(read)
                views = await self._views(turns)
                if (thread, first) != (self._chat.thread.name, self._first):
                    return  # another thread or branch was opened meanwhile
                self._first = turns[0].id if turns else None
                await self._screen.transcript.put_before(views)
                await self.refresh_marks()
                await self._show_places()

    async def leave_early_turns(self) -> None:
        """Take the earliest turns off a long screen, so that a turn costs the same after a thousand.

        They are laid down again when they come near.
        """
        views = self._screen.transcript.turns
        if len(views) <= MOST_TURNS:
            return
        for view in views[-MOST_TURNS // 2 :]:
            if view.turn is not None:
                async with self._laying:
                    await self._screen.transcript.leave_above(view)
                    self._first = view.turn.id
                return

    async def choose_branch(self, turn: str) -> None:
        """Go on where the branch of this turn ended, with the cursor on it."""
        await asyncio.to_thread(self._chat.journal.branches.choose, turn)
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
        found = await asyncio.to_thread(self._chat.journal.branches.siblings, list(views))
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
        return await asyncio.to_thread(self._chat.journal.differences.on_turns, turns)

    async def _recalled(self, turns: list[Turn]) -> list[Difference]:
        wanted = list(dict.fromkeys(item for turn in turns for item in turn.recalled))
        return await asyncio.to_thread(self._chat.journal.differences.by_ids, wanted)


def _by_turn(differences: Iterable[Difference]) -> dict[str, list[Difference]]:
    marks: dict[str, list[Difference]] = {}
    for item in differences:
        marks.setdefault(item.turn, []).append(item)
    return marks
