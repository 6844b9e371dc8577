"""`/adapters`: list the adapters, and change the current one."""

from __future__ import annotations

import asyncio

from memory.errors import AdapterError
from memory.i18n.interface_language import quoted, render, tr, trn
from tui.chat.context import ChatContext
from tui.chat.conversation import Conversation


class AdapterHandler:
    """Lists adapters and changes the pointer to the current one."""

    def __init__(self, context: ChatContext, conversation: Conversation) -> None:
        self._context, self._conversation = context, conversation

    async def adapters(self, argument: str) -> None:
        """List the adapters, or change which one is current."""
        from agent.adapters import find_adapter
        from trainer.adapters import publish

        home = self._context.chat.home
        word, _, identity = argument.partition(" ")
        if word == "use":
            if not identity.strip():
                await self._context.say(
                    tr(
                        "The adapter ID is missing. Type `/adapters use ID`; /adapters lists the "
                        "IDs."
                    ),
                    "error",
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
            await self._context.say(
                tr(
                    "Unknown argument {word}. /adapters takes use ID, on, off or rollback.",
                    word=quoted(word),
                ),
                "error",
            )
            return
        else:
            await self._list_adapters()
            return
        if self._conversation.streaming:
            await self._context.say(tr("The adapter changes when the reply ends."))
        elif not await self._conversation.take_adapter():
            await self._context.say(tr("Nothing changed: this is already in use."))

    async def _list_adapters(self) -> None:
        from agent.adapters import Pointer, list_adapters, read_pointer

        folder = self._context.chat.home.adapters
        found = await asyncio.to_thread(list_adapters, folder)
        if not found:
            await self._context.say(
                tr(
                    "No adapters yet; only the base model is in use. /train trains one on your "
                    "marks."
                )
            )
            return
        try:
            pointer = read_pointer(folder)
        except AdapterError as error:
            await self._context.say(render(error.sentence), "error")
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
            lines.append(tr("Adapters are off; only the base model is in use until /adapters on."))
        elif pointer.current is None:
            lines.append(tr("Only the base model is in use."))
        await self._context.say("\n".join(lines))
