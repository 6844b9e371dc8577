"""`/recall` and `/why`, and the card with the differences recalled for a reply."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from memory.i18n.interface_language import decimal, quoted, tr
from tui.chat.context import ChatContext
from tui.chat.handlers.memory import MemoryHandler
from tui.chat.thread_view import ThreadView
from tui.terminal.sanitize import one_line
from tui.widgets.chat.recalled import Used
from tui.widgets.chat.turn import TurnView
from tui.widgets.chat.why_card import WhyCard


class RecallHandler:
    """Switches recall on and off, and shows the recalled differences."""

    def __init__(self, context: ChatContext, thread: ThreadView, memory: MemoryHandler) -> None:
        self._context, self._thread, self._memory = context, thread, memory

    async def recall(self, argument: str) -> None:
        """Switch recall on or off; without an argument, show the current state."""
        word, context = argument.lower(), self._context
        if word in ("on", "off"):
            context.chat.recalling = word == "on"
        elif word:
            await context.say(
                tr("Unknown argument {word}. /recall takes on or off.", word=quoted(argument)),
                "error",
            )
            return
        if context.chat.recalling:
            await context.say(
                tr("Recall is on: differences relevant to a message are added to its context.")
            )
        else:
            await context.say(tr("Recall is off: no differences are added to the context."))
        self._thread.refresh_status()

    async def why(self, argument: str = "") -> None:
        """Show the differences recalled for the chosen or last reply."""
        context, transcript = self._context, self._context.transcript
        view = transcript.chosen_or_last
        if view is None:
            await context.say(tr("Nothing has been asked in this thread yet."))
            return
        used, aside = await self._recalled_for(view)
        if used:
            transcript.choose(None)
            await transcript.query(WhyCard).remove()
            await transcript.add(WhyCard(view.asked, used, aside))
            transcript.follow()
            return
        floor = context.settings.recall.floor
        reason = (
            tr(
                "no difference has a relevance of {floor} or more (recall.floor)",
                floor=decimal(f"{floor:.2f}"),
            )
            if context.chat.recalling
            else tr("recall is off (/recall on)")
        )
        await context.say(
            tr(
                "Nothing was recalled for “{asked}”: {reason}.",
                asked=one_line(view.asked, 40),
                reason=aside or reason,
            )
        )

    async def _recalled_for(self, view: TurnView) -> tuple[list[Used], str]:
        from agent.adapters import learned_at
        from agent.chat.why_recalled import trace_recall

        if view.turn is None:
            return list(view.recalled.used), ""
        chat = self._context.chat
        learned = learned_at(chat.home.adapters, view.turn)
        answer = await asyncio.to_thread(trace_recall, chat.memory, view.turn, learned)
        used = [
            Used(part.difference, part.score, part.matched, part.rules) for part in answer.recalled
        ]
        return used, answer.note

    async def pin(self, card: WhyCard, identity: str, on: bool) -> None:
        """Pin or unpin a difference of the card."""
        item = await asyncio.to_thread(self._context.chat.memory.pin, identity, on)
        old = next(used for used in card.used if used.difference.id == item.id)
        card.change(replace(old, difference=item))

    async def close_card(self, card: WhyCard, forgotten: tuple[str, ...]) -> None:
        """Close the card and forget the differences that are struck out in it."""
        focused = card.has_focus
        await card.remove()
        if focused:
            self._context.composer.focus()
        for identity in forgotten:
            await self._memory.forget(identity)
