"""What each slash command does, one method each; `tui/commands/registry.py` names them.
Those about marks and memory are in `tui/chat/handlers/memory_handlers.py`, those about what was said in
`tui/chat/handlers/chat_handlers.py`.

Handlers talk to the screen through few words: `say` a notice, the transcript, the chat. What touches
the disk runs in a thread, so that the screen stays quick.
"""

from __future__ import annotations

import asyncio
from difflib import get_close_matches

from memory.errors import AdapterError
from memory.i18n.i18n import quoted, tr, trn
from memory.i18n.retold import retold
from tui.chat.handlers.chat_handlers import TalkHandlers
from tui.chat.handlers.memory_handlers import MemoryHandlers
from tui.terminal.sanitize import one_line, padded, turns_column


class Handlers(MemoryHandlers, TalkHandlers):
    """The commands of one chat screen."""

    async def recall(self, argument: str) -> None:
        """Switch recall, or say how it stands."""
        word = argument.lower()
        if word in ("on", "off"):
            self._chat.recalling = word == "on"
        elif word:
            await self._screen.say(
                tr("/recall knows on and off, not {word}.", word=quoted(argument)), "error"
            )
            return
        if self._chat.recalling:
            await self._screen.say(
                tr("Recall is on: what bears on a message goes into its context.")
            )
        else:
            await self._screen.say(tr("Recall is off: the model answers from its weights alone."))
        self._screen.refresh_status()

    # --- training ----------------------------------------------------------------------------

    async def train(self, argument: str) -> None:
        """Train now, in the background."""
        word = argument.lower()
        if word in ("stop", "abort"):
            await self._screen.stop_training(abort=word == "abort")
        elif word in ("", "force"):
            await self._screen.begin_training(force=word == "force")
        else:
            await self._screen.say(
                tr("/train knows stop, abort and force, not {word}.", word=quoted(argument)),
                "error",
            )

    async def training(self, argument: str = "") -> None:
        """Open the training under way, or the last one."""
        self._screen.open_training()

    async def report(self, argument: str = "") -> None:
        """Open the reports, the newest first."""
        from trainer.report.report import every
        from tui.screens.report import ReportScreen

        found = await asyncio.to_thread(every, self._chat.home.runs)
        if found:
            await self._screen.app.push_screen_wait(ReportScreen(found))
        else:
            await self._screen.say(tr("Nothing was trained yet. /train does it now."))

    async def compare(self, argument: str) -> None:
        """Ask two ways of answering the same, by default the message of the chosen or last reply."""
        from tui.chat.comparing import compare

        await compare(self._screen, argument)

    async def adapters(self, argument: str) -> None:
        """List the adapters, or choose what serves."""
        from agent.adapters import find_adapter
        from trainer.adapters import publish

        home = self._chat.home
        word, _, identity = argument.partition(" ")
        if word == "use":
            if not identity.strip():
                await self._screen.say(
                    tr("Say which: `/adapters use ID`; /adapters lists the ids."), "error"
                )
                return
            adapter = find_adapter(home.adapters, identity.strip())
            await asyncio.to_thread(publish.select, home, adapter.id)
        elif word == "off":
            await asyncio.to_thread(publish.switch_off, home)
        elif word == "on":
            await asyncio.to_thread(publish.switch_on, home)
        elif word == "rollback":
            await asyncio.to_thread(publish.rollback, home)
        elif word:
            await self._screen.say(
                tr("/adapters knows use ID, on, off and rollback, not {word}.", word=quoted(word)),
                "error",
            )
            return
        else:
            await self._list_adapters()
            return
        if self._screen.talk.streaming:
            await self._screen.say(tr("It changes as soon as the reply ends."))
        elif not await self._screen.talk.take_adapter():
            await self._screen.say(tr("Nothing changed: that is what serves already."))

    async def _list_adapters(self) -> None:
        from agent.adapters import Pointer, list_adapters, read_pointer

        folder = self._chat.home.adapters
        found = await asyncio.to_thread(list_adapters, folder)
        if not found:
            await self._screen.say(
                tr(
                    "No adapters yet: the base model speaks alone. /train makes one from your marks."
                )
            )
            return
        try:
            pointer = read_pointer(folder)
        except AdapterError as error:
            await self._screen.say(retold(str(error)), "error")
            pointer = Pointer()
        lines = []
        signs = {pointer.waiting: "◇", pointer.current: "◆"}
        for item in found:
            manifest = item.manifest
            count = len(manifest.differences)
            lines.append(
                f"{signs.get(item.id, ' ')} {item.id[:8]}  "
                f"{manifest.created.astimezone():%Y-%m-%d %H:%M}  "
                + trn("{n} difference", "{n} differences", count)
                + (
                    tr(", scale {scale}", scale=f"{manifest.scale:g}")
                    if manifest.scale != 1
                    else ""
                )
            )
        if pointer.off:
            lines.append(tr("Adapters are off: the base model serves alone until /adapters on."))
        elif pointer.current is None:
            lines.append(tr("The base model serves alone."))
        await self._screen.say("\n".join(lines))

    # --- threads -----------------------------------------------------------------------------

    async def new(self, argument: str = "") -> None:
        """Begin a new thread."""
        if await self._screen.between_turns(tr("begin a new thread")):
            name = self._chat.thread.start_new()
            await self._screen.talk.show_thread()
            await self._screen.say(tr("New thread: {name}", name=name))

    async def thread(self, argument: str) -> None:
        """Go on in another thread."""
        if not argument:
            await self._screen.say(
                tr(
                    "This is the thread {name}; `/thread NAME` goes to another, /threads lists "
                    "them.",
                    name=quoted(self._chat.thread.name),
                )
            )
        elif await self._screen.between_turns(tr("change the thread")):
            self._chat.thread.switch(argument)
            await self._screen.talk.show_thread()
            if not self._screen.transcript.turns:
                await self._screen.say(tr("New thread: {name}", name=self._chat.thread.name))

    async def threads(self, argument: str = "") -> None:
        """List the threads."""
        found = self._chat.journal.threads.all()
        if not found:
            await self._screen.say(tr("No threads yet; the first message begins one."))
            return
        lines = []
        for name, turns, at in found:
            sign = "›" if name == self._chat.thread.name else " "
            lines.append(
                f"{sign} {padded(one_line(name, 40), 24)}  "
                f"{turns_column(turns)}  "
                f"{at.astimezone():%Y-%m-%d %H:%M}"
            )
        await self._screen.say("\n".join(lines))

    async def sessions(self, argument: str = "") -> None:
        """Open all past talk; what is chosen there is gone on in."""
        from tui.screens.sessions import SessionsScreen

        chosen = await self._screen.app.push_screen_wait(SessionsScreen(self._chat, argument))
        if chosen is None or (
            chosen.thread == self._chat.thread.name and not (chosen.turn or chosen.anew)
        ):
            return
        await self.go_to(chosen.thread, chosen.turn)

    # --- the rest ----------------------------------------------------------------------------

    async def help(self, argument: str = "") -> None:
        """Open the commands and the keys; the command chosen there is begun."""
        from tui.screens.help import HelpScreen

        screen = self._screen
        chosen = await screen.app.push_screen_wait(HelpScreen(screen.keyboard, argument))
        if chosen is not None:
            screen.pick(chosen)

    async def theme(self, argument: str) -> None:
        """Take other colours, or open all there are."""
        from tui.terminal.themes import THEMES

        if not argument:
            self._screen.app.search_themes()
        elif argument in THEMES:
            self._screen.app.theme = argument
        else:
            near = get_close_matches(argument, THEMES, n=1, cutoff=0.4)
            guess = tr("did you mean {name}?", name=near[0]) if near else tr("/theme shows all.")
            await self._screen.say(
                tr("There is no theme {name}; {guess}", name=one_line(argument, 40), guess=guess),
                "error",
            )

    async def quit(self, argument: str = "") -> None:
        """Leave."""
        self._screen.leave()
