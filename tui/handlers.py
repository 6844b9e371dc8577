"""What each slash command does. A method a command; the registry names them (`tui/commands.py`).

Handlers talk to the screen through few words: `say` a notice, the transcript, the chat. What touches
the disk runs in a thread, so that the screen stays quick.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from memory.errors import AdapterError, DiscernError
from tui.commands import COMMANDS, KEYS
from tui.text import one_line
from tui.widgets.recalled import summary

if TYPE_CHECKING:
    from agent.chat import Chat
    from memory.difference import Difference
    from tui.screens.chat import ChatScreen


class Handlers:
    """The commands of one chat screen."""

    def __init__(self, screen: ChatScreen) -> None:
        self._screen = screen
        self._made: list[str] = []

    @property
    def _chat(self) -> Chat:
        return self._screen.chat

    # --- marking -----------------------------------------------------------------------------

    async def diff(self, argument: str) -> None:
        """Mark the chosen reply, by default the last one."""
        from agent.marking import parse_mark

        screen = self._screen
        view = screen.entry.target
        screen.entry.aim(None)
        if view is None and screen.talk.streaming:
            screen.talk.after(lambda: self.diff(argument))
            await screen.say("The reply will be marked as soon as it ends.")
            return
        try:
            mark = parse_mark(argument)
            turn = view.turn.id if view is not None and view.turn is not None else None
            receipt = await asyncio.to_thread(lambda: self._chat.mark(turn=turn, **mark))
        except DiscernError:
            screen.entry.give_back(f"/diff {argument}".strip(), view)
            raise
        self._made.append(receipt.difference.id)
        marked = screen.view_of(receipt.difference.turn)
        if marked is not None:
            await marked.add_receipt(receipt.difference, receipt.text)
        else:
            await screen.say(receipt.text, "done")
        screen.refresh_status()

    async def undo(self, argument: str = "") -> None:
        """Forget the mark made last in this session."""
        if not self._made:
            await self._screen.say(
                "No mark was made since the chat was opened; `/memory forget ID` removes an older one."
            )
            return
        await self.forget(self._made[-1])

    async def forget(self, identity: str) -> None:
        """Forget a difference everywhere, and say what it was."""
        item = await asyncio.to_thread(self._chat.forget, identity)
        self._made = [made for made in self._made if made != item.id]
        self._screen.unmark(item)
        await self._screen.say(f"Forgotten: {item.id[:8]}, {summary(item, 60)}")
        self._screen.refresh_status()

    async def memory(self, argument: str) -> None:
        """List the differences, or forget one."""
        word, _, identity = argument.partition(" ")
        if word == "forget":
            if not identity.strip():
                await self._screen.say(
                    "Say which: `/memory forget ID`; /memory lists the ids.", "error"
                )
                return
            await self.forget(identity.strip())
            return
        if word:
            await self._screen.say(f"/memory knows `forget ID`, not {word!r}.", "error")
            return
        found = self._chat.journal.differences()
        if not found:
            await self._screen.say("No differences yet. Mark a reply with /diff.")
            return
        room = self._screen.room
        lines = [f"{len(found)} difference{'s' * (len(found) != 1)}, the latest last"]
        lines += [self._line(item, room) for item in found]
        await self._screen.say("\n".join(lines))

    def _line(self, item: Difference, room: int) -> str:
        head = f"{item.id[:8]}  {item.moment:<8}  {item.state:<7}  "
        return head + summary(item, max(16, room - len(head)))

    async def why(self, argument: str = "") -> None:
        """Unfold what was recalled for the chosen or last reply."""
        view = self._screen.chosen_or_last
        if view is None:
            await self._screen.say("Nothing was asked yet in this thread.")
        elif view.recalled.used:
            view.recalled.toggle(True)
            view.recalled.scroll_visible(animate=False)
        else:
            floor = self._screen.settings.recall.floor
            reason = (
                f"nothing that was marked fits it by {floor:.2f} or more (recall.floor)"
                if self._chat.recalling
                else "recall is off (/recall on)"
            )
            asked = one_line(view.asked, 40)
            await self._screen.say(f"Nothing was recalled for “{asked}”: {reason}.")

    async def recall(self, argument: str) -> None:
        """Switch recall, or say how it stands."""
        word = argument.lower()
        if word in ("on", "off"):
            self._chat.recalling = word == "on"
        elif word:
            await self._screen.say(f"/recall knows on and off, not {argument!r}.", "error")
            return
        if self._chat.recalling:
            await self._screen.say("Recall is on: what bears on a message goes into its context.")
        else:
            await self._screen.say("Recall is off: the model answers from its weights alone.")
        self._screen.refresh_status()

    # --- training ----------------------------------------------------------------------------

    async def train(self, argument: str) -> None:
        """Train now, in the background."""
        word = argument.lower()
        if word == "stop":
            await self._screen.stop_training()
        elif word in ("", "force"):
            await self._screen.begin_training(force=word == "force")
        else:
            await self._screen.say(f"/train knows stop and force, not {argument!r}.", "error")

    async def report(self, argument: str = "") -> None:
        """Show the last training's report."""
        from trainer.report import latest

        found = await asyncio.to_thread(latest, self._chat.home.runs)
        if found is None:
            await self._screen.say("Nothing was trained yet. /train does it now.")
        else:
            await self._screen.say(found.to_text(self._screen.room))

    async def adapters(self, argument: str) -> None:
        """List the adapters, or choose what serves."""
        from agent.adapters import find_adapter
        from trainer import publish

        home = self._chat.home
        word, _, identity = argument.partition(" ")
        if word == "use":
            if not identity.strip():
                await self._screen.say(
                    "Say which: `/adapters use ID`; /adapters lists the ids.", "error"
                )
                return
            adapter = find_adapter(home.adapters, identity.strip())
            await asyncio.to_thread(publish.select, home, adapter.id)
        elif word == "off":
            await asyncio.to_thread(publish.select, home, None)
        elif word == "rollback":
            await asyncio.to_thread(publish.rollback, home)
        elif word:
            await self._screen.say(
                f"/adapters knows use ID, off and rollback, not {word!r}.", "error"
            )
            return
        else:
            await self._list_adapters()
            return
        if self._screen.talk.streaming:
            await self._screen.say("It changes as soon as the reply ends.")
        elif not await self._screen.talk.take_adapter():
            await self._screen.say("Nothing changed: that is what serves already.")

    async def _list_adapters(self) -> None:
        from agent.adapters import list_adapters, read_pointer

        folder = self._chat.home.adapters
        found = await asyncio.to_thread(list_adapters, folder)
        if not found:
            await self._screen.say(
                "No adapters yet: the base model speaks alone. /train makes one from your marks."
            )
            return
        try:
            current = read_pointer(folder).current
        except AdapterError as error:
            await self._screen.say(str(error), "error")
            current = None
        lines = []
        for item in found:
            manifest = item.manifest
            count = len(manifest.differences)
            lines.append(
                f"{'◆' if item.id == current else ' '} {item.id[:8]}  "
                f"{manifest.created.astimezone():%Y-%m-%d %H:%M}  "
                f"{count} difference{'s' * (count != 1)}"
                + (f", scale {manifest.scale:g}" if manifest.scale != 1 else "")
            )
        if current is None:
            lines.append("The base model serves alone.")
        await self._screen.say("\n".join(lines))

    # --- threads -----------------------------------------------------------------------------

    async def new(self, argument: str = "") -> None:
        """Begin a new thread."""
        if await self._screen.between_turns("begin a new thread"):
            name = self._chat.fresh()
            await self._screen.talk.show_thread()
            await self._screen.say(f"New thread: {name}")

    async def thread(self, argument: str) -> None:
        """Go on in another thread."""
        if not argument:
            await self._screen.say(
                f"This is the thread {self._chat.thread!r}; `/thread NAME` goes to another, "
                "/threads lists them."
            )
        elif await self._screen.between_turns("change the thread"):
            self._chat.switch(argument)
            await self._screen.talk.show_thread()
            if not self._screen.transcript.turns:
                await self._screen.say(f"New thread: {self._chat.thread}")

    async def threads(self, argument: str = "") -> None:
        """List the threads."""
        found = self._chat.journal.threads()
        if not found:
            await self._screen.say("No threads yet; the first message begins one.")
            return
        lines = []
        for name, turns, at in found:
            sign = "›" if name == self._chat.thread else " "
            lines.append(
                f"{sign} {one_line(name, 40):<24}  {turns:>4} turn{'s' * (turns != 1):1}  "
                f"{at.astimezone():%Y-%m-%d %H:%M}"
            )
        await self._screen.say("\n".join(lines))

    # --- the rest ----------------------------------------------------------------------------

    async def help(self, argument: str = "") -> None:
        """Show the commands and the keys."""
        room = self._screen.room
        lines = ["Commands"]
        for command in COMMANDS:
            lines.append(f"  /{command.name:<10}{one_line(command.hint, room - 13)}")
        lines += ["", "Keys"]
        for keys, effect in KEYS:
            lines.append(f"  {keys:<22}{one_line(effect, max(10, room - 24))}")
        lines += [
            "",
            "Marking: /diff error tactical too long => Shorter.",
            "The kinds come with Tab after /diff error.",
        ]
        await self._screen.say("\n".join(lines))

    async def quit(self, argument: str = "") -> None:
        """Leave."""
        self._screen.leave()
