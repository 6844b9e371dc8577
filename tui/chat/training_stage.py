"""The chat screen's part in a training: beginning it, following it, saying what came of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from textual import work

from memory.errors import DiscernError
from memory.i18n.i18n import tr
from memory.i18n.retold import retold
from tui.chat.model_offload import Lending
from tui.chat.stage import Stage
from tui.training.progress import Progress
from tui.training.training import TrainingEnded, TrainingEvent, TrainingStarted

if TYPE_CHECKING:
    from trainer.night.run import Word

LOOK_SECONDS = 1.0


class TrainingStage(Stage):
    """A stage on which trainings run in the background, with the model's room if they need it."""

    lending: Lending

    async def good_morning(self) -> None:
        """Say what came of the last night, if nobody has said it yet."""
        from trainer.night import night_notice

        self.lending = Lending(self)
        self.set_interval(LOOK_SECONDS, self._lend)
        with suppress(DiscernError):
            if said := await asyncio.to_thread(night_notice.line, self.chat.journal):
                await self.say(said)

    async def begin_training(self, *, force: bool) -> None:
        """Train in the background."""
        if self.training.running:
            await self.say(
                tr("A training is going on already; /train stop ends it and keeps the best.")
            )
            return
        self.training.begin(self.chat.engine.info.path, force=force)

    async def stop_training(self, *, abort: bool = False) -> None:
        """Ask the training to stop at its best, or to leave nothing."""
        if self.training.running:
            self.end_training("abort" if abort else "stop")
        else:
            await self.say(tr("Nothing is training."))

    def end_training(self, word: Word) -> None:
        """Ask whatever trains in this home to stop at its best, or to leave nothing.

        Raises:
            TrainingError: nothing does.
        """
        from trainer.night.run import tell_run

        if not self.training.running:  # of another process, and not followed yet
            tell_run(self.home, word)
            return
        self.panel.stop(abort=word == "abort")
        if word == "abort":
            self.training.abort()
        else:
            self.training.stop()

    def open_training(self) -> None:
        """Show all of the training under way, or of the last one."""
        from tui.screens.training import TrainingScreen

        if self._chat is not None and self.app.screen is self:
            journal = self._chat.journal
            self.app.push_screen(
                TrainingScreen(self.home, self.settings, journal, self.end_training)
            )

    def action_training(self) -> None:
        """Show all of it."""
        self.open_training()

    @work(group="lending", exclusive=True)
    async def _lend(self) -> None:
        await self.attempt(self.lending.look())

    def on_unmount(self) -> None:
        """The model is there no more."""
        if self._chat is not None:
            self.lending.close()

    def on_training_panel_clicked(self) -> None:
        """Show all of it."""
        self.open_training()

    def on_training_started(self, message: TrainingStarted) -> None:
        """Say that it begins; the panel comes with the first event, if there is anything to train."""
        self.status.change(training=Progress().short)

    def on_training_event(self, message: TrainingEvent) -> None:
        """Show how far it is."""
        if self.panel.progress is None:
            self.panel.begin(message.source)
        self.lending.hear(message.event)
        progress = (self.panel.progress or Progress(message.source)).after(message.event)
        self.panel.change(progress)
        self.status.change(training=progress.short)

    @work(group="training")
    async def _training_over(self, message: TrainingEnded) -> None:
        await self.attempt(self.lending.end())
        broke_off = message.report is None or message.report.verdict == "failed"
        stopped = self.panel.stopping and broke_off
        self.panel.end()
        self.status.change(training="")
        if message.source == "night":
            from trainer.night import night_notice

            with suppress(DiscernError):
                await asyncio.to_thread(night_notice.told, self.chat.journal)
        if stopped:
            await self.say(tr("The training was stopped; what served before serves on."))
        elif message.report is not None:
            published = message.report.verdict == "published"
            said = f"{retold(message.report.sentence)} {tr('/report shows it all.')}"
            if message.source == "night":
                said = tr("Last night: {said}", said=said)
            await self.say(said, "done" if published else "error")
            await self.talk.take_adapter()
        elif message.error is not None:
            if message.source == "night":
                await self.say(tr("Last night's training did not end well:"))
            await self.say_error(message.error)
        await self.talk.refresh_marks()
        self.refresh_status(all_of_it=True)

    def on_training_ended(self, message: TrainingEnded) -> None:
        """Say what came of it, and serve with it."""
        self._training_over(message)
