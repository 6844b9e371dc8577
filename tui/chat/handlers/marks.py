"""`/diff`, `/undo`, `/contrast`, and the contrast card."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from memory.errors import DiscernError, MarkError
from memory.i18n.interface_language import render, tr
from tui.chat.context import ChatContext
from tui.chat.conversation import Conversation
from tui.chat.thread_view import ThreadView
from tui.widgets.chat.recalled import summary
from tui.widgets.marking.contrast_card import ContrastCard

if TYPE_CHECKING:
    from agent.chat.marking.receipt import Receipt
    from memory.difference import Difference
    from tui.widgets.chat.turn import TurnView


class MarkHandler:
    """Makes, removes and edits marks of the open thread."""

    def __init__(
        self, context: ChatContext, thread: ThreadView, conversation: Conversation
    ) -> None:
        self._context, self._thread, self._conversation = context, thread, conversation
        self._made: list[str] = []
        """Ids of the marks made since the chat was opened, in order."""

    async def diff(self, argument: str) -> None:
        """Mark the target of the input, else the chosen reply, else the last one."""
        context = self._context
        chosen = context.entry.target or context.transcript.chosen
        context.entry.aim(None)
        if context.reply.streaming and (chosen is None or chosen.turn is None):
            view = chosen or context.reply.view
            self._conversation.after(lambda: self._mark(argument, view))
            await context.say(tr("The reply will be marked when it ends."))
            return
        await self._mark(argument, chosen or next(reversed(context.transcript.turns), None))

    async def _mark(self, argument: str, view: TurnView | None) -> None:
        from agent.chat.marking.diff_syntax import parse_mark

        context = self._context
        try:
            if view is None:
                raise MarkError("there is no reply to mark yet; ask something first")
            turn = view.stored_turn.id
            request = parse_mark(argument)
            receipt = await asyncio.to_thread(context.chat.marks.add, request, turn=turn)
        except DiscernError:
            again = view if view in context.transcript.turns[:-1] else None
            context.entry.restore(f"/diff {argument}".strip(), again)
            raise
        await self.show_receipt(receipt)

    async def show_receipt(self, receipt: Receipt) -> None:
        """Show a mark that was just made."""
        context = self._context
        self._made.append(receipt.difference.id)
        await context.transcript.remove_hints()
        marked = context.transcript.view_of(receipt.difference.turn)
        if marked is not None:
            await marked.add_receipt(receipt.difference, receipt.text)
        else:
            await context.say(receipt.text, "done")
        self._thread.refresh_status()

    async def undo(self, argument: str = "") -> None:
        """Remove the latest mark made since the chat was opened."""
        if not self._made:
            await self._context.say(
                tr(
                    "No marks since the chat was opened. To remove an older mark, type `/memory "
                    "forget ID`."
                )
            )
            return
        await self.remove(self._made[-1])

    async def remove(self, identity: str) -> None:
        """Remove a mark; its turn stays."""
        item = await asyncio.to_thread(self._context.chat.marks.undo, identity)
        self.hide_mark(item)
        await self._context.say(
            tr("Mark removed: {id}, {what}", id=item.id[:8], what=summary(item, 60))
        )

    def hide_mark(self, item: Difference) -> None:
        """Remove a deleted mark from the screen."""
        self._made = [made for made in self._made if made != item.id]
        self._thread.remove_mark(item)
        self._thread.refresh_status()

    # --- the card ----------------------------------------------------------------------------

    async def contrast(self, argument: str = "") -> None:
        """Open the contrast card of a mark; the model drafts the lines if all are empty."""
        if not await self._context.ensure_idle(tr("write the contrast")):
            return
        item = await self._find(argument)
        if item is None:
            return
        bare = not item.contrast
        card = await self.open_card(item, drafting=bare)
        if bare:
            draft = await asyncio.to_thread(self._context.chat.draft, item)
            if card.is_attached:
                card.offer(draft.contrast, render(draft.message) if draft.message else "")

    async def _find(self, identity: str) -> Difference | None:
        """Return the named mark, else the latest of the chosen reply, else the latest of the thread."""
        journal, transcript = self._context.chat.journal, self._context.transcript
        if identity:
            return await asyncio.to_thread(journal.differences.get, identity)
        chosen = transcript.chosen
        views = [chosen] if chosen is not None else reversed(transcript.turns)
        for view in views:
            if view.marks:
                return await asyncio.to_thread(journal.differences.get, view.marks[-1].id)
        await self._context.say(tr("Nothing is marked here yet; /diff marks the last reply."))
        return None

    async def open_card(
        self, item: Difference, *, note: bool = False, drafting: bool = False
    ) -> ContrastCard:
        """Open the contrast card of a mark at the end of the conversation, replacing an open one."""
        card = ContrastCard(item, note=note, drafting=drafting)
        transcript = self._context.transcript
        await transcript.query(ContrastCard).remove()
        await transcript.add(card)
        transcript.follow()
        return card

    async def save_card(self, card: ContrastCard, lines: dict[str, str]) -> None:
        """Store the lines of a card and close it; it stays open if they are invalid."""
        from agent.chat.marking.receipt import receipt

        context = self._context
        chat = context.chat
        item = await asyncio.to_thread(lambda: chat.memory.edit(card.difference.id, **lines))
        await self.close_card(card)
        said = receipt(chat.journal, item, context.settings, engine=chat.engine)
        if view := context.transcript.view_of(item.turn):
            await view.add_receipt(item, said)
            context.status.say(tr("Saved as version {number}.", number=item.version))
        else:
            await context.say(said, "done")
        self._thread.refresh_status()

    async def close_card(self, card: ContrastCard) -> None:
        """Stop the draft in progress, close a card and focus the input."""
        self._context.chat.stop()
        await card.remove()
        self._context.composer.focus()
