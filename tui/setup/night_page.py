"""The second question of the setup: when to train; and a preview of the timer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import events, work
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from memory.errors import DiscernError
from memory.i18n.interface_language import render, tr
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tui.setup.setup import When, with_time
from tui.setup.setup_page import SetupPage
from tui.terminal.sanitize import clean
from tui.widgets.common.choices import ChoiceRow, Choices
from tui.widgets.common.text_input import LineInput

if TYPE_CHECKING:
    from trainer.night.service import Installation, ServiceKind


class NightPage(SetupPage):
    """When to train: nightly while Discern is open, nightly by a system timer, or on request."""

    DEFAULT_CSS = """
    NightPage > .time {
        height: 1; margin: 1 0 0 0;
        & > Static { width: auto; }
        & > Input { width: 9; background: $panel; }
    }
    """

    class Answered(Message):
        """A schedule was chosen; `plan` is a timer to confirm."""

        def __init__(self, when: When, at: str, plan: Installation | None = None) -> None:
            super().__init__()
            self.when, self.at, self.plan = when, at, plan

    def __init__(self, home: Home, settings: Settings, said: str = "") -> None:
        super().__init__()
        self._home, self._settings, self._told = home, settings, said
        self._list = Choices()
        self._time = LineInput(settings.night.time, max_length=5)
        self._kind: ServiceKind | None = None
        self._no_timer = ""

    def parts(self) -> list[Widget]:
        """Return the list and the input for the time."""
        label = Static(tr("Time") + "  ", markup=False)
        return [self._list, Horizontal(label, self._time, classes="time")]

    def on_mount(self) -> None:
        """Show the question; detecting a timer takes a moment."""
        self.lead(tr("When should Discern train on your marks?"))
        both = tr("↑ ↓ choose") + " · " + tr("Tab change time") + " · "
        self.keys(both + tr("Enter continue") + " · " + tr("Esc back"))
        self._draw("open" if self._settings.night.enabled else "asked")
        if self._told:
            self.say(self._told)
        self._list.focus()
        self._find_timer()

    @work(group="timer", exclusive=True)
    async def _find_timer(self) -> None:
        from trainer.night import service

        try:
            self._kind = await asyncio.to_thread(service.detect)
        except DiscernError as error:
            self._no_timer = render(error.sentence)
        self._describe(self._list.highlighted_key)

    def _draw(self, key: str | None = None) -> None:
        at = self._time.value.strip() or "…"
        rows = [
            ChoiceRow("open", tr("every night at {time}, while Discern is open", time=at)),
            ChoiceRow("timer", tr("every night at {time}, with a system timer", time=at)),
            ChoiceRow("asked", tr("only when I run /train")),
        ]
        self._list.show(rows, key)
        self._describe(self._list.highlighted_key)

    def _describe(self, key: str) -> None:
        told = {
            "open": tr(
                "Training starts at that time if the chat is open. A missed night is made up at "
                "the next start."
            ),
            "timer": self._no_timer
            or tr("Works even when Discern is closed. The timer is shown before it is installed."),
            "asked": tr("Marks are still recalled from the next message on."),
        }
        self.about(told.get(key, ""))

    def on_choices_highlighted(self, message: Choices.Highlighted) -> None:
        """Describe the highlighted schedule."""
        message.stop()
        self._describe(message.key)

    def on_input_changed(self, message: Input.Changed) -> None:
        """Show the time in the description."""
        message.stop()
        if self._list.is_mounted:
            self._draw()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Return to the list if the time is valid."""
        message.stop()
        if self._settings_then() is not None:
            self._list.focus()

    def on_choices_chosen(self, message: Choices.Chosen) -> None:
        """Answer; a timer is shown first."""
        message.stop()
        settings = self._settings_then()
        if settings is None:
            self._time.focus()
        elif message.key == "timer":
            self._plan(settings)
        else:
            self._answer("open" if message.key == "open" else "asked")

    def _settings_then(self) -> Settings | None:
        try:
            settings = with_time(self._home, self._time.value.strip())
        except DiscernError:
            self.say(
                tr(
                    'Invalid time "{time}". Use HH:MM, for example 03:15.',
                    time=self._time.value or "…",
                )
            )
            return None
        self.say("")
        return settings

    @work(group="plan", exclusive=True)
    async def _plan(self, settings: Settings) -> None:
        from trainer.night import service

        try:
            kind = self._kind if self._kind else await asyncio.to_thread(service.detect)
            plan = service.plan(kind, self._home.prepare(), settings)
        except DiscernError as error:
            self.say(render(error.sentence))
        else:
            self._answer("timer", plan)

    def _answer(self, when: When, plan: Installation | None = None) -> None:
        self.post_message(self.Answered(when, self._time.value.strip(), plan))


class PlanPage(SetupPage, can_focus=True):
    """A preview of the system timer; Enter installs it."""

    DEFAULT_CSS = """
    PlanPage > VerticalScroll { height: auto; max-height: 13; background: $panel; padding: 0 1; }
    PlanPage > VerticalScroll > Static { height: auto; }
    """

    class Confirmed(Message):
        """The user confirmed the timer."""

    def __init__(self, plan: Installation) -> None:
        super().__init__()
        self.plan = plan
        self._text = VerticalScroll(Static(clean(plan.preview), markup=False), can_focus=False)

    def parts(self) -> list[Widget]:
        """Return the preview."""
        return [self._text]

    def on_mount(self) -> None:
        """Show the timer."""
        self.lead(tr("This timer will be installed ({kind}):", kind=self.plan.kind))
        self.about(
            tr(
                "It checks every hour whether a nightly training is due. `discern night "
                "uninstall` removes it."
            )
        )
        self.keys(tr("Enter install") + " · " + tr("↑ ↓ scroll") + " · " + tr("Esc back"))
        self.focus()

    def on_key(self, event: events.Key) -> None:
        """Confirm at Enter, or scroll."""
        if event.key == "enter":
            event.stop()
            self.say(tr("Installing…"), quiet=True)
            self.post_message(self.Confirmed())
        elif event.key in ("up", "down"):
            event.stop()
            self._text.scroll_relative(y=1 if event.key == "down" else -1, animate=False)
