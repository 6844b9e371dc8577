"""What the slash commands about marks and memory do: /diff, /undo, /contrast, /why, /memory.

Cards are put into the talk here and what they say is carried out here; only what the person confirmed
is written.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from memory.errors import DiscernError, MarkError
from memory.i18n.i18n import decimal, tr
from memory.i18n.retold import retold
from tui.terminal.sanitize import one_line
from tui.widgets.chat.recalled import Used, details, summary
from tui.widgets.chat.why_card import WhyCard
from tui.widgets.marking.contrast_card import Card

if TYPE_CHECKING:
    from agent.chat.chat import Chat
    from agent.chat.marking import Receipt
    from memory.difference import Difference
    from tui.chat.screen import ChatScreen
    from tui.widgets.chat.turn import TurnView

VERBS = ("show", "edit", "pin", "unpin", "forget")


class MemoryHandlers:
    """The commands about marks and memory of one chat screen."""

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen
        self._made: list[str] = []

    @property
    def _chat(self) -> Chat:
        return self._screen.chat

    # --- marking -----------------------------------------------------------------------------

    async def diff(self, argument: str) -> None:
        """Mark the chosen reply, by default the last one that is shown."""
        screen = self._screen
        chosen = screen.entry.target or screen.transcript.chosen
        screen.entry.aim(None)
        if screen.talk.streaming and (chosen is None or chosen.turn is None):
            view = chosen or screen.talk.speaking
            screen.talk.after(lambda: self._mark(argument, view))
            await screen.say(tr("The reply will be marked as soon as it ends."))
            return
        await self._mark(argument, chosen or next(reversed(screen.transcript.turns), None))

    async def _mark(self, argument: str, view: TurnView | None) -> None:
        from agent.chat.marking import parse_mark

        try:
            if view is None:
                raise MarkError("there is no reply to mark yet; ask something first")
            turn = view.kept_turn.id
            mark = parse_mark(argument)
            receipt = await asyncio.to_thread(lambda: self._chat.marks.add(turn=turn, **mark))
        except DiscernError:
            again = view if view in self._screen.transcript.turns[:-1] else None
            self._screen.entry.give_back(f"/diff {argument}".strip(), again)
            raise
        await self.kept(receipt)

    async def kept(self, receipt: Receipt) -> None:
        """Show a mark that was made."""
        screen = self._screen
        self._made.append(receipt.difference.id)
        await screen.transcript.drop_hints()
        marked = screen.view_of(receipt.difference.turn)
        if marked is not None:
            await marked.add_receipt(receipt.difference, receipt.text)
        else:
            await screen.say(receipt.text, "done")
        screen.refresh_status()

    async def undo(self, argument: str = "") -> None:
        """Take back the mark made last in this session."""
        if not self._made:
            await self._screen.say(
                tr(
                    "No mark was made since the chat was opened; `/memory forget ID` removes an older "
                    "one."
                )
            )
            return
        await self.take_back(self._made[-1])

    async def take_back(self, identity: str) -> None:
        """Take a mark back; the talk stays as it is."""
        item = await asyncio.to_thread(self._chat.marks.undo, identity)
        await self._gone(item)
        await self._screen.say(
            tr("Taken back: {id}, {what}", id=item.id[:8], what=summary(item, 60))
        )

    async def _gone(self, item: Difference) -> None:
        self._made = [made for made in self._made if made != item.id]
        self._screen.unmark(item)
        self._screen.refresh_status()

    # --- the three lines ---------------------------------------------------------------------

    async def contrast(self, argument: str = "") -> None:
        """Open the card of the three lines; what is empty is drafted by the model."""
        if not await self._screen.between_turns(tr("write the contrast")):
            return
        item = await self._mark_meant(argument)
        if item is None:
            return
        bare = not item.contrast
        card = await self._open(item, drafting=bare)
        if bare:
            draft = await asyncio.to_thread(self._chat.draft, item)
            if card.is_attached:
                card.offer(draft.contrast, retold(draft.said))

    async def _mark_meant(self, argument: str) -> Difference | None:
        """The named mark, else the latest of the chosen reply, else the latest of the thread's end."""
        if argument:
            return await asyncio.to_thread(self._chat.journal.differences.get, argument)
        chosen = self._screen.transcript.chosen
        views = [chosen] if chosen is not None else reversed(self._screen.transcript.turns)
        for view in views:
            if view.marks:
                return await asyncio.to_thread(
                    self._chat.journal.differences.get, view.marks[-1].id
                )
        await self._screen.say(tr("Nothing is marked here yet; /diff marks the last reply."))
        return None

    async def _open(self, item: Difference, *, note: bool = False, drafting: bool = False) -> Card:
        card = Card(item, note=note, drafting=drafting)
        await self._screen.transcript.query(Card).remove()
        await self._screen.transcript.add(card)
        self._screen.transcript.follow()
        return card

    async def keep(self, card: Card, lines: dict[str, str]) -> None:
        """Keep what the person confirmed in a card; the card stays when it is refused."""
        from agent.chat.marking import receipt

        item = await asyncio.to_thread(lambda: self._chat.memory.edit(card.difference.id, **lines))
        await self.close(card)
        said = receipt(self._chat.journal, item, self._screen.settings, engine=self._chat.engine)
        if view := self._screen.view_of(item.turn):
            await view.add_receipt(item, said)
            self._screen.status.say(tr("Kept, version {number}.", number=item.version))
        else:
            await self._screen.say(said, "done")
        self._screen.refresh_status()

    async def close(self, card: Card | WhyCard) -> None:
        """Take a card away and go on writing; a draft in the making ends."""
        if isinstance(card, Card):
            self._chat.stop()
        await card.remove()
        self._screen.composer.focus()

    # --- what was recalled -------------------------------------------------------------------

    async def why(self, argument: str = "") -> None:
        """Show what was recalled for the chosen or last reply, to be pinned or forgotten."""
        view = self._screen.chosen_or_last
        if view is None:
            await self._screen.say(tr("Nothing was asked yet in this thread."))
            return
        used, aside = await self._used(view)
        if used:
            self._screen.transcript.choose(None)
            await self._screen.transcript.query(WhyCard).remove()
            await self._screen.transcript.add(WhyCard(view.asked, used, aside))
            self._screen.transcript.follow()
            return
        floor = self._screen.settings.recall.floor
        reason = (
            tr(
                "nothing that was marked fits it by {floor} or more (recall.floor)",
                floor=decimal(f"{floor:.2f}"),
            )
            if self._chat.recalling
            else tr("recall is off (/recall on)")
        )
        await self._screen.say(
            tr(
                "Nothing was recalled for “{asked}”: {reason}.",
                asked=one_line(view.asked, 40),
                reason=aside or reason,
            )
        )

    async def _used(self, view: TurnView) -> tuple[list[Used], str]:
        from agent.adapters import holds_of
        from agent.chat.recall_trace import trace_recall

        if view.turn is None:
            return list(view.recalled.used), ""
        held = holds_of(self._chat.home.adapters, view.turn.adapter)
        answer = await asyncio.to_thread(trace_recall, self._chat.memory, view.turn, held)
        used = [Used(part.difference, part.score, part.matched) for part in answer.recalled]
        return used, answer.note

    async def pin_row(self, card: WhyCard, identity: str, on: bool) -> None:
        """Pin or unpin a row of a card."""
        item = await asyncio.to_thread(self._chat.memory.pin, identity, on)
        old = next(used for used in card.used if used.difference.id == item.id)
        card.change(Used(item, old.score, old.matched))

    async def leave_why(self, card: WhyCard, forgotten: tuple[str, ...]) -> None:
        """Close a card and forget what was struck out in it."""
        focused = card.has_focus
        await card.remove()
        if focused:
            self._screen.composer.focus()
        for identity in forgotten:
            await self.forget(identity)

    # --- the memory --------------------------------------------------------------------------

    async def memory(self, argument: str) -> None:
        """Open all differences, sifted by words, or do something with one."""
        verb, _, identity = argument.partition(" ")
        identity = identity.strip()
        if verb not in VERBS:
            await self._open_all(argument)
        elif not identity:
            await self._screen.say(
                tr("Say which: `/memory {verb} ID`; /memory lists the ids.", verb=verb), "error"
            )
        elif verb == "forget":
            await self.forget(identity)
        elif verb == "edit":
            await self._open(
                await asyncio.to_thread(self._chat.journal.differences.get, identity), note=True
            )
        elif verb == "show":
            item = await asyncio.to_thread(self._chat.journal.differences.get, identity)
            await self._screen.say("\n".join(details(Used(item), 10_000)))
        else:
            item = await asyncio.to_thread(self._chat.memory.pin, identity, verb == "pin")
            about = {"id": item.id[:8], "what": summary(item, 60)}
            said = (
                tr("Pinned: it comes first where it fits. {id}, {what}", **about)
                if item.pinned
                else tr("No longer pinned. {id}, {what}", **about)
            )
            await self._screen.say(said, "done")

    async def _open_all(self, words: str) -> None:
        """Open all differences, and do what is wished there."""
        from tui.screens.differences import DifferencesScreen

        wish = await self._screen.app.push_screen_wait(
            DifferencesScreen(self._chat.memory, self._chat.home, words)
        )
        await self._screen.talk.refresh_marks()
        if wish is None:
            return
        item = wish.difference
        if wish.verb == "forget":
            await self.forget(item.id)
        elif wish.verb == "edit":
            await self._open(item, note=True)
        elif thread := await asyncio.to_thread(self._chat.journal.threads.of_turn, item.turn):
            await self.go_to(thread, item.turn)
        else:
            await self._screen.say(
                tr(
                    "The talk that {which} was marked in is not here any more; the mark stays.",
                    which=item.id[:8],
                )
            )

    async def go_to(self, thread: str, turn: str | None) -> None:
        """Go on in a thread, with the cursor on one of its turns; in that one's branch."""
        view = self._screen.view_of(turn) if turn is not None else None
        if view is not None and thread == self._chat.thread.name:
            self._screen.transcript.choose(view)
        elif await self._screen.between_turns(tr("change the thread")):
            self._chat.thread.switch(thread)
            journal = self._chat.journal
            if turn is not None and not await asyncio.to_thread(
                journal.branches.contains, thread, turn
            ):
                await asyncio.to_thread(journal.branches.choose, turn)
            await self._screen.talk.show_thread(turn)

    async def forget(self, identity: str) -> None:
        """Forget a difference everywhere, its turn too, and say what else must be done."""
        if not await self._screen.between_turns(tr("forget it")):
            return
        item = await asyncio.to_thread(self._chat.marks.forget, identity)
        await self._gone(item)
        if view := self._screen.view_of(item.turn):
            await view.remove()
        left = await asyncio.to_thread(self._chat.marks.residual_copies, item)
        said = tr("Forgotten for good, with the turn it was marked in: {id}.", id=item.id[:8])
        await self._screen.say("\n".join((said, *left.sentences)))
