"""The open thread on the screen: its turns, their marks and branches, and its status line.

Only the latest turns of the chosen branch are mounted; earlier ones follow when the user scrolls up.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from memory.i18n.interface_language import tr
from tui.chat.context import ChatContext
from tui.views.mark_status import retained_ids
from tui.widgets.chat.recalled import Used
from tui.widgets.chat.turn import TurnView
from tui.widgets.chat.welcome import Welcome
from tui.widgets.composer.composer import MAX_HISTORY

if TYPE_CHECKING:
    from textual.widget import Widget

    from agent.chat.chat import Chat
    from memory.difference import Difference, Turn

SHOWN_TURNS = 4
"""Turns of a resumed thread that are mounted first; more follow if there is room."""
EARLIER_TURNS = 8
"""Earlier turns that are mounted at a time when the user scrolls up."""
MOST_TURNS = 80
"""Maximum number of mounted turns; above it, only the latest half stays mounted."""


class ThreadView:
    """Mounts the turns of the open thread and keeps their marks and the status line up to date."""

    def __init__(self, context: ChatContext) -> None:
        self._context = context
        self.lock = asyncio.Lock()
        """Held while a reply is generated, and while the thread or the adapter is replaced."""
        self._loading_earlier = asyncio.Lock()
        self._first: str | None = None
        """The earliest mounted turn, while there are turns before it."""
        self._counted: object = None

    @property
    def loading_earlier(self) -> bool:
        """Whether earlier turns are being mounted."""
        return self._loading_earlier.locked()

    @property
    def _chat(self) -> Chat:
        return self._context.chat

    async def show(self, choose: str | None = None) -> None:
        """Show the latest turns of the chosen branch, with the cursor on the turn `choose`."""
        async with self.lock:
            await self.reload(choose)

    async def reload(self, choose: str | None = None) -> None:
        """Do the same as `show`, for a caller that holds the lock."""
        read = functools.partial(
            self._chat.journal.branches.current, self._chat.thread.name, limit=MAX_HISTORY
        )
        latest = await asyncio.to_thread(read)
        self._chat.thread.position = latest[-1].id if latest else ""
        first = next((at for at, turn in enumerate(latest) if turn.id == choose), len(latest))
        shown = latest[max(0, min(len(latest) - SHOWN_TURNS, first)) :]
        self._first = shown[0].id if shown else None
        transcript = self._context.transcript
        await transcript.show(await self._views(shown) or [Welcome()])
        await self.refresh_marks()
        await self.show_branch_positions()
        self._context.composer.remember(turn.asked for turn in latest if turn.asked)
        last = shown[-1] if shown else None
        used = last.prompt_tokens + len(last.surprisal) if last else 0
        self._context.status.change(context_used=used, speed=0.0, first_token=0.0)
        self.refresh_status()
        if choose is not None:
            transcript.choose(transcript.view_of(choose))

    async def show_earlier(self) -> None:
        """Mount earlier turns until there is a page of them above the visible part."""
        if self.loading_earlier:
            return
        async with self._loading_earlier:
            while self._first is not None and self._context.transcript.near_top:
                thread, first = self._chat.thread.name, self._first
                read = functools.partial(
                    self._chat.journal.branches.current, thread, limit=EARLIER_TURNS, before=first
                )
                turns = await asyncio.to_thread(read)
                views = await self._views(turns)
                if (thread, first) != (self._chat.thread.name, self._first):
                    return  # another thread or branch was opened meanwhile
                self._first = turns[0].id if turns else None
                await self._context.transcript.insert_above(views)
                await self.refresh_marks()
                await self.show_branch_positions()

    async def unmount_early_turns(self) -> None:
        """Unmount the earliest turns of a long thread, so that the next turn is drawn quickly.

        They are mounted again when the user scrolls up.
        """
        views = self._context.transcript.turns
        if len(views) <= MOST_TURNS:
            return
        for view in views[-MOST_TURNS // 2 :]:
            if view.turn is not None:
                async with self._loading_earlier:
                    await self._context.transcript.remove_above(view)
                    self._first = view.turn.id
                return

    async def choose_branch(self, turn: str) -> None:
        """Show the branch of this turn, with the cursor on it."""
        await asyncio.to_thread(self._chat.journal.branches.choose, turn)
        await self.show(turn)

    async def show_branch_positions(self) -> None:
        """Show the number of the current branch next to each message that has several."""
        views = self._views_by_turn()
        found = await asyncio.to_thread(self._chat.journal.branches.siblings, list(views))
        for turn, view in views.items():
            view.show_branch_position(str(found[turn]) if turn in found else "")

    # --- marks -------------------------------------------------------------------------------

    async def refresh_marks(self) -> None:
        """Show the current status of every mark on the screen."""
        views = self._views_by_turn()
        marks = _by_turn(
            await asyncio.to_thread(self._chat.journal.differences.on_turns, list(views))
        )
        retained = await asyncio.to_thread(retained_ids, self._chat.home.adapters)
        for turn, view in views.items():
            view.show_marks(marks.get(turn, ()), retained)

    def refresh_marks_later(self) -> None:
        """Call `refresh_marks` in a worker."""
        work: Callable[[], Awaitable[None]] = self.refresh_marks
        self._context.screen.run_worker(work, group="marks", exclusive=True)

    def remove_mark(self, difference: Difference) -> None:
        """Remove the mark of a deleted difference."""
        if view := self._context.transcript.view_of(difference.turn):
            view.show_marks([mark for mark in view.marks if mark.id != difference.id])

    # --- the status line ---------------------------------------------------------------------

    def refresh_status(self, *, recount: bool = False) -> None:
        """Update the status line.

        Waiting marks are counted only after the journal or adapter changed, or if `recount` is set.
        """
        chat = self._context.open_chat
        if chat is None:
            return
        from trainer.night.due_time import next_run

        night = next_run(self._context.settings, datetime.now().astimezone())
        adapter, status = chat.adapter, self._context.status
        counted = (chat.journal.differences.change_count(), adapter)
        if recount or counted != self._counted:
            if (
                self._counted is not None and not recount
            ):  # for example by a night of another process
                self.refresh_marks_later()
            self._counted = counted
            status.change(waiting=chat.marks.waiting())
        status.change(
            adapter=adapter.id if adapter else None,
            scale=adapter.manifest.scale if adapter else 1.0,
            recalling=chat.recalling,
            night=tr("night {time}", time=f"{night:%H:%M}") if night else "",
        )

    # --- reading -----------------------------------------------------------------------------

    def _views_by_turn(self) -> dict[str, TurnView]:
        return {view.turn.id: view for view in self._context.transcript.turns if view.turn}

    async def _views(self, turns: list[Turn]) -> list[Widget]:
        turns = [turn for turn in turns if turn.asked]
        wanted = list(dict.fromkeys(item for turn in turns for item in turn.recalled))
        found = await asyncio.to_thread(self._chat.journal.differences.by_ids, wanted)
        known = {item.id: item for item in found}
        return [
            TurnView(
                turn.asked,
                turn,
                used=[Used(known[item]) for item in turn.recalled if item in known],
            )
            for turn in turns
        ]


def _by_turn(differences: Iterable[Difference]) -> dict[str, list[Difference]]:
    marks: dict[str, list[Difference]] = {}
    for item in differences:
        marks.setdefault(item.turn, []).append(item)
    return marks
