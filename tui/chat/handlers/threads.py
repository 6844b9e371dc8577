"""`/new`, `/thread`, `/threads` and `/sessions`."""

from __future__ import annotations

import asyncio

from memory.i18n.interface_language import quoted, tr
from tui.chat.context import ChatContext
from tui.chat.thread_view import ThreadView
from tui.terminal.sanitize import one_line, padded, turns_column


class ThreadHandler:
    """Begins, lists and opens threads."""

    def __init__(self, context: ChatContext, thread: ThreadView) -> None:
        self._context, self._thread = context, thread

    async def new(self, argument: str = "") -> None:
        """Begin a new thread."""
        if await self._context.ensure_idle(tr("start a new thread")):
            name = self._context.chat.thread.start_new()
            await self._thread.show()
            await self._context.say(tr("New thread: {name}", name=name))

    async def thread(self, argument: str) -> None:
        """Open another thread."""
        if not argument:
            await self._context.say(
                tr(
                    "Current thread: {name}. Type `/thread NAME` to switch; /threads lists all "
                    "threads.",
                    name=quoted(self._context.chat.thread.name),
                )
            )
        elif await self._context.ensure_idle(tr("switch threads")):
            self._context.chat.thread.switch(argument)
            await self._thread.show()
            if not self._context.transcript.turns:
                await self._context.say(
                    tr("New thread: {name}", name=self._context.chat.thread.name)
                )

    async def threads(self, argument: str = "") -> None:
        """List the threads."""
        found = self._context.chat.journal.threads.all()
        if not found:
            await self._context.say(tr("No threads yet; the first message starts one."))
            return
        lines = []
        for name, turns, at in found:
            sign = "›" if name == self._context.chat.thread.name else " "
            lines.append(
                f"{sign} {padded(one_line(name, 40), 24)}  "
                f"{turns_column(turns)}  "
                f"{at.astimezone():%Y-%m-%d %H:%M}"
            )
        await self._context.say("\n".join(lines))

    async def sessions(self, argument: str = "") -> None:
        """Search all threads; open the chosen one."""
        from tui.screens.sessions import SessionsScreen

        chosen = await self._context.app.push_screen_wait(
            SessionsScreen(self._context.chat, argument)
        )
        if chosen is None or (
            chosen.thread == self._context.chat.thread.name
            and not (chosen.turn or chosen.open_deleted)
        ):
            return
        await self.open(chosen.thread, chosen.turn)

    async def open(self, thread: str, turn: str | None) -> None:
        """Open a thread in the branch of one of its turns, with the cursor on it."""
        view = self._context.transcript.view_of(turn) if turn is not None else None
        if view is not None and thread == self._context.chat.thread.name:
            self._context.transcript.choose(view)
        elif await self._context.ensure_idle(tr("switch threads")):
            self._context.chat.thread.switch(thread)
            journal = self._context.chat.journal
            if turn is not None and not await asyncio.to_thread(
                journal.branches.contains, thread, turn
            ):
                await asyncio.to_thread(journal.branches.choose, turn)
            await self._thread.show(turn)
