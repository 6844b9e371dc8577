"""`/compare`: replies of two configurations to the same prompt, side by side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from memory.i18n.interface_language import tr
from tui.chat.context import ChatContext
from tui.chat.conversation import Conversation

if TYPE_CHECKING:
    from trainer.evaluate.compare import Pair, Side

ADAPTERS = 6
"""How many of the latest adapters are offered."""


class CompareHandler:
    """Opens the comparison and turns the better reply into a mark."""

    def __init__(self, context: ChatContext, conversation: Conversation) -> None:
        self._context, self._conversation = context, conversation

    async def compare(self, argument: str) -> None:
        """Compare replies to `argument`, or to the message of the chosen or last reply.

        The better one is put into the input as a /diff command.

        Raises:
            AdapterError: an adapter is damaged.
        """
        from trainer.evaluate.compare import ComparedPrompt
        from trainer.evaluate.compare import compare as answers
        from tui.screens.compare import CompareScreen

        context = self._context
        if not await context.ensure_idle(tr("compare")):
            return
        chat, view, prompt = context.chat, context.transcript.chosen_or_last, argument.strip()
        meant = None if prompt or view is None or view.turn is None else view
        sides = await asyncio.to_thread(self._sides)

        async def ask(both: tuple[Side, Side], text: str) -> Pair:
            def work() -> Pair:
                found = answers(
                    chat.engine, chat.journal, chat.settings, both, [ComparedPrompt(text)]
                )
                try:
                    return next(found)
                finally:
                    found.close()

            return await self._conversation.run_exclusively(work)

        text = prompt or (meant.asked if meant is not None else "")
        better = await context.app.push_screen_wait(
            CompareScreen(sides, ask, text, may_mark=meant is not None)
        )
        if better and meant is not None:
            context.composer.write(f"/diff error => {better}")
            context.entry.aim(meant)
            context.composer.focus()

    def _sides(self) -> list[Side]:
        """Return the available sides: base and current adapter, both with recall, other adapters."""
        from agent.adapters import list_adapters, read_pointer
        from trainer.adapters.adapter_staleness import entry_of
        from trainer.evaluate.compare import RECALL, side

        chat = self._context.chat
        home = chat.home
        base = entry_of(chat.engine.info.path, home)
        current = read_pointer(home.adapters).current
        fitting = [
            item
            for item in list_adapters(home.adapters)
            if item.manifest.base.sha256 == base.sha256
        ]
        fitting.sort(key=lambda item: (item.id != current, -item.manifest.created.timestamp()))
        names = [item.id for item in fitting[:ADAPTERS]]
        serving, others = (names[:1], names[1:]) if current in names else ([], names)
        words = ["base", *serving, *(f"{name}{RECALL}" for name in ("base", *serving)), *others]
        return [side(home, word, base) for word in words]
