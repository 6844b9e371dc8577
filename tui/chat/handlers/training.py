"""`/train`, `/training` and `/report`."""

from __future__ import annotations

import asyncio

from memory.i18n.interface_language import quoted, tr
from tui.chat.context import ChatContext
from tui.chat.training.controller import TrainingController


class TrainingHandler:
    """Begins, stops and shows trainings."""

    def __init__(self, context: ChatContext, training: TrainingController) -> None:
        self._context, self._training = context, training

    async def train(self, argument: str) -> None:
        """Train now, in the background; `stop` and `abort` end the current training."""
        word = argument.lower()
        if word in ("stop", "abort"):
            await self._training.stop(abort=word == "abort")
        elif word in ("", "force"):
            await self._training.begin(force=word == "force")
        else:
            await self._context.say(
                tr(
                    "Unknown argument {word}. /train takes stop, abort or force.",
                    word=quoted(argument),
                ),
                "error",
            )

    async def training(self, argument: str = "") -> None:
        """Open the Training screen."""
        self._training.open_screen()

    async def report(self, argument: str = "") -> None:
        """Open the reports, the newest first."""
        from trainer.report.report import every
        from tui.screens.report import ReportScreen

        context = self._context
        found = await asyncio.to_thread(every, context.chat.home.runs)
        if found:
            await context.app.push_screen_wait(ReportScreen(found))
        else:
            await context.say(tr("No training has run yet. /train starts one."))
