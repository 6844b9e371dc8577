"""The first start: which model to use, when to train, a summary. `discern setup` shows it again.

It shows one page at a time; Esc goes back a page, and from the first one to the chat. Both answers are
written after the second question; a timer is installed only after the user confirmed it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from memory.errors import DiscernError
from memory.i18n.interface_language import render, tr
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from tui.screens.modal import Modal
from tui.setup.fetch_page import FetchPage
from tui.setup.model_page import ModelPage
from tui.setup.night_page import NightPage, PlanPage
from tui.setup.setup import Answers, When, record_skipped, write_answers
from tui.setup.setup_page import SetupPage
from tui.terminal.sanitize import labels_width, one_line, padded
from tui.widgets.chat.welcome import LINES

if TYPE_CHECKING:
    from trainer.night.service import Installation


class DonePage(SetupPage, can_focus=True):
    """A summary and the four things to do; Enter opens the chat."""

    class Finished(Message):
        """Setup is done; open the chat."""

    def __init__(self, written: list[str]) -> None:
        super().__init__()
        self._written = written

    def on_mount(self) -> None:
        """Show the summary."""
        self.lead("\n".join(self._written))
        lines = [Content(tr("Getting started:"))]
        room = labels_width(tr(name) for name, _ in LINES)
        for name, rest in LINES:
            lines.append(Content.assemble("  ", (padded(tr(name), room), "bold"), tr(rest)))
        self.about(Content("\n").join(lines))
        self.keys(tr("Enter open chat") + " · " + tr("Esc back"))
        self.focus()

    def on_key(self, event: events.Key) -> None:
        """Enter opens the chat."""
        if event.key == "enter":
            event.stop()
            self.post_message(self.Finished())


class SetupScreen(Modal[None]):
    """The three steps; the chat then reads the settings again."""

    DEFAULT_CSS = """
    SetupScreen { layout: vertical; background: $background; }
    SetupScreen > .head { height: 1; margin: 1 0 0 0; padding: 0 2; }
    SetupScreen > Container { height: 1fr; }
    """
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", show=False, priority=True),
    ]

    def __init__(self, home: Home, settings: Settings) -> None:
        super().__init__()
        self._home, self._settings = home, settings
        self._model: Path | None = None
        self._pointed = f"here:{settings.model.path}" if settings.model.path else ""
        self._when: When = "open"
        self._time = settings.night.time
        self._page: SetupPage | None = None
        self._head = Static("", markup=False, classes="head")

    def compose(self) -> ComposeResult:
        """Compose the widgets."""
        yield self._head
        yield Container()

    async def on_mount(self) -> None:
        """Begin with the model."""
        await self._show(1, self._models())

    def _models(self, said: str = "") -> ModelPage:
        return ModelPage(self._home, self._settings, said, self._pointed)

    async def _show(self, step: int, page: SetupPage) -> None:
        name = {1: tr("choose a model"), 2: tr("training schedule"), 3: tr("done")}[step]
        accent = f"bold {self.app.theme_variables['accent']}"
        where = tr("step {step} of {steps}: {name}", step=step, steps=3, name=name)
        self._head.update(Content.assemble(("◆ discern", accent), f"  {where}"))
        box = self.query_one(Container)
        await box.remove_children()
        self._page = page
        await box.mount(page)

    async def action_back(self) -> None:
        """Go back a step; from the first, into the chat."""
        page = self._page
        if page is None or page.back():
            return
        if isinstance(page, ModelPage):
            self._leave()
        elif isinstance(page, NightPage):
            await self._show(1, self._models())
        else:
            await self._show(2, NightPage(self._home, self._settings))

    def _leave(self) -> None:
        try:
            record_skipped(self._home)
        except DiscernError as error:
            self.app.notify(render(error.sentence), severity="error", markup=False)
        self.dismiss()

    # --- messages of the pages ---------------------------------------------------------------

    async def on_model_page_chosen(self, message: ModelPage.Chosen) -> None:
        """Continue with the schedule or the download."""
        self._pointed = message.key
        if message.pull is not None:
            await self._show(1, FetchPage(self._home, message.pull))
        else:
            await self._chose(message.path)

    async def on_fetch_page_done(self, message: FetchPage.Done) -> None:
        """Continue with the downloaded file."""
        await self._chose(message.path)

    async def on_fetch_page_cancelled(self, message: FetchPage.Cancelled) -> None:
        """Return to the model page."""
        await self._show(1, self._models(message.said))

    async def _chose(self, path: Path | None) -> None:
        self._model = path
        await self._show(2, NightPage(self._home, self._settings))

    async def on_night_page_answered(self, message: NightPage.Answered) -> None:
        """Write the answers, or show the timer first."""
        self._when, self._time = message.when, message.at
        if message.plan is not None:
            await self._show(2, PlanPage(message.plan))
        else:
            self._write(None)

    def on_plan_page_confirmed(self) -> None:
        """Write the answers and install the timer."""
        assert isinstance(self._page, PlanPage)
        self._write(self._page.plan)

    @work(group="write", exclusive=True)
    async def _write(self, plan: Installation | None) -> None:
        from trainer.night import service

        answers = Answers(self._model, self._when, self._time)
        try:
            values = await asyncio.to_thread(write_answers, self._home, answers)
            self._settings = read_settings(self._home)
            if plan is not None:
                await asyncio.to_thread(service.install, plan)
        except DiscernError as error:
            await self._show(2, NightPage(self._home, self._settings, render(error.sentence)))
            return
        width = self.size.width - 4
        written = [tr("Saved to {path}:", path=self._home.settings_file)]
        for section, keys in values.items():
            for key, value in keys.items():
                shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
                note = "  " + tr("(starter model)") if (section, value) == ("model", "") else ""
                written.append("  " + one_line(f"{section}.{key} = {shown}{note}", width - 2))
        if plan is not None:
            written.append(
                tr(
                    "Installed: {kind} checks every hour whether a nightly training is due.",
                    kind=plan.kind,
                )
            )
        await self._show(3, DonePage(written))

    def on_done_page_finished(self) -> None:
        """Open the chat."""
        self.dismiss()
