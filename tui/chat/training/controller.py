"""Trainings in the chat: start and stop them, follow their events, show their outcome."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from memory.errors import DiscernError
from memory.i18n.interface_language import render, tr
from tui.chat.context import ChatContext
from tui.chat.conversation import Conversation
from tui.chat.thread_view import ThreadView
from tui.chat.training.idle_preparation import IdlePreparation
from tui.chat.training.idle_unload import ModelUnloading
from tui.training.background_trainings import BackgroundTrainings, TrainingEnded, TrainingEvent
from tui.training.progress import Progress

if TYPE_CHECKING:
    from trainer.night.run import EndRequest


class TrainingController:
    """Runs trainings in the background and shows them in the panel, the status line and as notices."""

    def __init__(
        self, context: ChatContext, thread: ThreadView, conversation: Conversation
    ) -> None:
        self._context, self._thread, self._conversation = context, thread, conversation
        post = context.screen.post_message
        self.trainings = BackgroundTrainings(context.home, context.settings, post)
        self.unloading: ModelUnloading | None = None
        """None until the chat is open."""
        self.preparation: IdlePreparation | None = None

    def start(self) -> None:
        """Start sharing the GPU and preparing nights, once the chat is open."""
        self.unloading = ModelUnloading(self._context, self.trainings)
        self.preparation = IdlePreparation(self._context, self.trainings)

    async def say_last_night(self) -> None:
        """Show the outcome of the last night, unless it was shown before."""
        from trainer.night import night_notice

        with suppress(DiscernError):
            if said := await asyncio.to_thread(
                night_notice.take_notice, self._context.chat.journal
            ):
                await self._context.say(said)

    async def begin(self, *, force: bool) -> None:
        """Train in the background."""
        if self.trainings.running:
            await self._context.say(
                tr("A training is already running. /train stop ends it and keeps the best result.")
            )
            return
        self.trainings.begin(self._context.chat.engine.info.path, force=force)

    async def stop(self, *, abort: bool = False) -> None:
        """Stop the training and keep its best adapter; with `abort`, keep nothing."""
        if self.trainings.running:
            self.end("abort" if abort else "stop")
        else:
            await self._context.say(tr("No training is running."))

    def end(self, word: EndRequest) -> None:
        """Ask the training in this home, even of another process, to stop or abort.

        Raises:
            TrainingError: nothing is training.
        """
        from trainer.night.run import request_end

        if not self.trainings.running:  # it is of another process and not followed yet
            request_end(self._context.home, word)
            return
        self._context.panel.stop(abort=word == "abort")
        if word == "abort":
            self.trainings.abort()
        else:
            self.trainings.stop()

    def open_screen(self) -> None:
        """Open the screen of the current training, or of the last one."""
        from tui.screens.training import TrainingScreen

        context = self._context
        if context.open_chat is not None and context.app.screen is context.screen:
            journal = context.open_chat.journal
            context.app.push_screen(
                TrainingScreen(context.home, context.settings, journal, self.end)
            )

    async def poll_unloading(self) -> None:
        """Unload or load the chat's model if it is time to."""
        if self.unloading is not None:
            await self._context.attempt(self.unloading.poll())

    async def poll_preparation(self) -> None:
        """Start or end the preparation of the next night."""
        if self.preparation is not None:
            await self._context.attempt(self.preparation.poll())

    def message_sent(self) -> None:
        """End the preparation, because the reply needs the processor."""
        if self.preparation is not None:
            self.preparation.interrupt()

    def close(self) -> None:
        """Release the GPU lease and end the preparation."""
        if self.preparation is not None:
            self.preparation.close()
        if self.unloading is not None:
            self.unloading.close()

    # --- events ------------------------------------------------------------------------------

    def started(self) -> None:
        """Show in the status line that a training began; its first event opens the panel."""
        self._context.status.change(training=Progress().short)

    def event(self, message: TrainingEvent) -> None:
        """Show progress."""
        panel = self._context.panel
        if panel.progress is None:
            panel.begin(message.source)
        if self.unloading is not None:
            self.unloading.handle_event(message.event)
        progress = (panel.progress or Progress(message.source)).after(message.event)
        panel.change(progress)
        self._context.status.change(training=progress.short)

    async def ended(self, message: TrainingEnded) -> None:
        """Show the outcome and load the new adapter."""
        context = self._context
        if self.unloading is not None:
            await context.attempt(self.unloading.end())
        broke_off = message.report is None or message.report.verdict == "failed"
        stopped = context.panel.stopping and broke_off
        context.panel.end()
        context.status.change(training="")
        if message.source == "night":
            from trainer.night import night_notice

            with suppress(DiscernError):
                await asyncio.to_thread(night_notice.mark_shown, context.chat.journal)
        if stopped:
            await context.say(tr("The training was stopped. The current adapter is unchanged."))
        elif message.report is not None:
            published = message.report.verdict == "published"
            said = f"{render(message.report.sentence)} {tr('See /report for details.')}"
            if message.source == "night" and message.report.verdict == "failed":
                said = tr("Last night's training failed:") + " " + said
            elif message.source == "night":
                said = tr("Last night's training finished. {said}", said=said)
            await context.say(said, "done" if published else "error")
            await self._conversation.take_adapter()
        elif message.error is not None:
            if message.source == "night":
                await context.say(tr("Last night's training failed:"))
            await context.say_error(message.error)
        await self._thread.refresh_marks()
        self._thread.refresh_status(recount=True)
