"""What /compare does: the sides there are, asking them through the open chat, a choice as a mark."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from memory.i18n.i18n import tr

if TYPE_CHECKING:
    from trainer.evaluate.compare import Pair, Side
    from tui.chat.screen import ChatScreen

ADAPTERS = 6
"""Adapters that are offered, the latest."""


async def compare(screen: ChatScreen, prompt: str) -> None:
    """Open the two sides; a reply that is chosen there is written into the input as a mark to be sent.

    Raises:
        AdapterError: an adapter is damaged.
    """
    from trainer.evaluate.compare import Asked
    from trainer.evaluate.compare import compare as answers
    from tui.screens.compare import CompareScreen

    if not await screen.between_turns(tr("compare")):
        return
    chat, view = screen.chat, screen.chosen_or_last
    meant = None if prompt.strip() or view is None or view.turn is None else view
    sides = await asyncio.to_thread(_sides, screen)

    async def ask(both: tuple[Side, Side], text: str) -> Pair:
        def work() -> Pair:
            found = answers(chat.engine, chat.journal, chat.settings, both, [Asked(text)])
            try:
                return next(found)
            finally:
                found.close()

        return await screen.talk.alone(work)

    text = prompt.strip() or (meant.asked if meant is not None else "")
    better = await screen.app.push_screen_wait(
        CompareScreen(sides, ask, text, may_mark=meant is not None)
    )
    if better and meant is not None:
        screen.composer.write(f"/diff error => {better}")
        screen.entry.aim(meant)
        screen.composer.focus()


def _sides(screen: ChatScreen) -> list[Side]:
    """Return what can be compared: the base beside what serves, both with recall, other adapters."""
    from agent.adapters import list_adapters, read_pointer
    from trainer.adapters.adapter_staleness import entry_of
    from trainer.evaluate.compare import RECALL, side

    home = screen.chat.home
    base = entry_of(screen.chat.engine.info.path, home)
    current = read_pointer(home.adapters).current
    fitting = [
        item for item in list_adapters(home.adapters) if item.manifest.base.sha256 == base.sha256
    ]
    fitting.sort(key=lambda item: (item.id != current, -item.manifest.created.timestamp()))
    names = [item.id for item in fitting[:ADAPTERS]]
    serving, others = (names[:1], names[1:]) if current in names else ([], names)
    words = ["base", *serving, *(f"{name}{RECALL}" for name in ("base", *serving)), *others]
    return [side(home, word, base) for word in words]
