"""`/memory`: listing, showing, editing, pinning and forgetting differences."""

from __future__ import annotations

import asyncio

from memory.i18n.interface_language import tr
from tui.chat.context import ChatContext
from tui.chat.handlers.marks import MarkHandler
from tui.chat.handlers.threads import ThreadHandler
from tui.chat.thread_view import ThreadView
from tui.widgets.chat.recalled import Used, details, summary

VERBS = ("show", "edit", "pin", "unpin", "forget")


class MemoryHandler:
    """Manages the differences of all threads."""

    def __init__(
        self, context: ChatContext, thread: ThreadView, marks: MarkHandler, threads: ThreadHandler
    ) -> None:
        self._context, self._thread = context, thread
        self._marks, self._threads = marks, threads

    async def memory(self, argument: str) -> None:
        """Open the list of differences filtered by `argument`, or run the verb that it begins with."""
        verb, _, identity = argument.partition(" ")
        identity = identity.strip()
        context = self._context
        if verb not in VERBS:
            await self._open_list(argument)
        elif not identity:
            await context.say(
                tr(
                    "The difference ID is missing. Type `/memory {verb} ID`; /memory lists the "
                    "IDs.",
                    verb=verb,
                ),
                "error",
            )
        elif verb == "forget":
            await self.forget(identity)
        elif verb == "edit":
            item = await asyncio.to_thread(context.chat.journal.differences.get, identity)
            await self._marks.open_card(item, note=True)
        elif verb == "show":
            item = await asyncio.to_thread(context.chat.journal.differences.get, identity)
            await context.say("\n".join(details(Used(item), 10_000)))
        else:
            item = await asyncio.to_thread(context.chat.memory.pin, identity, verb == "pin")
            about = {"id": item.id[:8], "what": summary(item, 60)}
            said = (
                tr("Pinned (recalled first when relevant): {id}, {what}", **about)
                if item.pinned
                else tr("Unpinned: {id}, {what}", **about)
            )
            await context.say(said, "done")

    async def _open_list(self, words: str) -> None:
        from tui.screens.differences import DifferencesScreen

        context = self._context
        chat = context.chat
        action = await context.app.push_screen_wait(
            DifferencesScreen(chat.memory, chat.home, words)
        )
        await self._thread.refresh_marks()
        if action is None:
            return
        item = action.difference
        if action.verb == "forget":
            await self.forget(item.id)
        elif action.verb == "edit":
            await self._marks.open_card(item, note=True)
        elif thread := await asyncio.to_thread(chat.journal.threads.of_turn, item.turn):
            await self._threads.open(thread, item.turn)
        else:
            await context.say(
                tr(
                    "The thread in which {which} was marked no longer exists; the mark is kept.",
                    which=item.id[:8],
                )
            )

    async def forget(self, identity: str) -> None:
        """Erase a difference and its turn; list copies that the user has to remove."""
        context = self._context
        if not await context.ensure_idle(tr("forget it")):
            return
        item = await asyncio.to_thread(context.chat.marks.forget, identity)
        self._marks.hide_mark(item)
        if view := context.transcript.view_of(item.turn):
            await view.remove()
        left = await asyncio.to_thread(context.chat.marks.residual_copies, item)
        said = tr("Permanently forgotten, with the turn it was marked in: {id}.", id=item.id[:8])
        await context.say("\n".join((said, *left.sentences)))
