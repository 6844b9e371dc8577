"""The Textual application: themes, input, errors and the chat screen.

Importing this module imports Textual but nothing heavier; the model is loaded after the first paint.
Resources are closed after the screen is gone, so that it does not freeze.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import ClassVar
from weakref import WeakKeyDictionary

from textual import events, work
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.command import CommandPalette
from textual.driver import Driver
from textual.errors import NoWidget
from textual.filter import LineFilter
from textual.screen import Screen
from textual.theme import Theme, ThemeProvider
from textual.widget import Widget

from memory.errors import DiscernError, SettingsError
from memory.i18n import interface_language
from memory.i18n.interface_language import render, tr
from memory.settings.paths import Home
from memory.settings.settings import Settings, read_settings
from memory.settings.settings_file import write_setting
from tui.chat.screen import ChatScreen
from tui.commands.registry import COMMANDS
from tui.keys.bindings import Keyboard, bindings
from tui.keys.keyboard_layout import latin
from tui.keys.registry import KEYS
from tui.terminal.crash import crash_message, origin, write_crash_file
from tui.terminal.input_order import FIELDS, Input, InputOrder
from tui.terminal.output_filter import UnsafeTextFilter
from tui.terminal.paste import pasted
from tui.terminal.sanitize import clean, one_line
from tui.terminal.signals import Terminated, on_signals
from tui.terminal.textual_patches.app import PatchedApp
from tui.terminal.textual_patches.dispatch import act_on_keys_at_once, survive_errors
from tui.terminal.textual_patches.drivers import survive_hangup, use_safe_parser
from tui.terminal.textual_patches.widgets import draw_nothing_once_removed
from tui.terminal.themes import DARK, LIGHT, THEMES, own_colours
from tui.views.error_text import error_text
from tui.widgets.common.option_lists import Palette

TWICE_SECONDS = 2.0
"""Maximum seconds between two presses of Ctrl+C that quit."""
AGAIN_SECONDS = 10.0
"""Minimum seconds between two messages about the same error."""
TEXTUAL_COMMANDS = {
    "Theme": "Change the current theme",
    "Screenshot": "Save an SVG 'screenshot' of the current screen",
}
"""Textual's commands that the palette offers, with their descriptions."""


class DiscernApp(PatchedApp):
    """The chat in a terminal."""

    TITLE = "discern"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("anywhere")]
    CSS = """
    Screen { background: $background; }
    Toast { max-width: 60; }
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        *,
        thread: str | None = None,
        new: bool = False,
        setup: bool = False,
    ) -> None:
        """Take the settings and the thread to open.

        With `setup`, show the questions of the first start before.
        """
        super().__init__()
        interface_language.use(settings.ui.language)
        self.home = home
        self.settings = settings
        self._leaving_at = 0.0
        self._last_shown: dict[tuple[str, str, int], float] = {}
        self.input_order = InputOrder(self, self._dispatch_input)
        survive_errors(self, self.show_failure)
        self._pressed_on: WeakKeyDictionary[events.Key, Screen[object]] = WeakKeyDictionary()
        self._unsafe_text_filter = UnsafeTextFilter()
        self.keyboard = Keyboard(settings.keys, str(home.settings_file))
        self.set_keymap(self.keyboard.own)
        self._setup = setup
        self._thread, self._new = thread, new
        self._chat_screen = ChatScreen(home, settings, thread=thread, new=new)
        if self.no_color:
            self.keep_styles_without_colours()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        if settings.ui.theme not in THEMES:
            raise SettingsError(
                "{settings_file}: ui.theme = {theme!r} is not a theme; set it to one of {themes}",
                settings_file=home.settings_file,
                theme=settings.ui.theme,
                themes=", ".join(THEMES),
            )
        self.theme = settings.ui.theme

    def get_driver_class(self) -> type[Driver]:
        """Return Textual's driver, made safe for pastes and for a terminal that closes."""
        driver = super().get_driver_class()
        use_safe_parser(driver)
        return survive_hangup(driver)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return Textual's filters and the one that blanks unsafe characters."""
        return [*super().get_line_filters(), self._unsafe_text_filter]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return colours of our styles that the current theme lacks."""
        return own_colours(self.current_theme)

    def on_mount(self) -> None:
        """Show the setup or the chat."""
        self.theme_changed_signal.subscribe(self, self._keep_theme)
        if self._setup:
            from tui.screens.setup import SetupScreen

            self.push_screen(SetupScreen(self.home, self.settings), self._open_chat)
        else:
            self.push_screen(self._chat_screen)

    def _open_chat(self, _answered: None) -> None:
        """Open the chat with the settings that the setup wrote."""
        self.settings = read_settings(self.home)
        self._chat_screen = ChatScreen(self.home, self.settings, thread=self._thread, new=self._new)
        self.push_screen(self._chat_screen)

    def _keep_theme(self, theme: Theme) -> None:
        """Store the chosen theme for the next start."""
        try:
            write_setting(self.home, "ui", "theme", theme.name)
        except DiscernError as error:
            self.notify(clean(render(error.sentence)), severity="warning", markup=False)

    async def on_event(self, event: events.Event) -> None:
        """Handle inputs in order, each only if its target still exists."""
        if not isinstance(event, events.InputEvent | events.Paste):
            await super().on_event(event)
        elif not event.is_forwarded:
            await self.input_order.take(event)
        else:
            try:
                if not self._target_is_gone(event):
                    await super().on_event(event)
            finally:
                self.input_order.done(event)

    async def _dispatch_input(self, event: Input) -> None:
        """Dispatch an input: restore pasted text, and map Cyrillic keys by their position."""
        if self._target_is_gone(event):
            return
        if isinstance(event, events.Paste):
            event.text = pasted(event.text)
        if isinstance(event, events.Key):
            self._pressed_on[event] = self.screen
            if not self.keyboard.knows(event.key):
                event.key = latin(event.key)
        await super().on_event(event)

    def _target_is_gone(self, event: events.Event) -> bool:
        """Return whether the target of an event is gone: its screen, or the widget under the mouse."""
        if not self.screen_stack:
            return True
        if isinstance(event, events.Key) and event.is_forwarded:
            return self._pressed_on.get(event) is not self.screen
        if isinstance(event, events.MouseEvent) and not event.is_forwarded:
            try:
                return not self.screen.get_widget_at(event.x, event.y)[0].is_attached
            except NoWidget:  # not laid out yet, or the terminal shrank since
                return True
        return False

    def widget_added(self, widget: Widget) -> None:
        """Make a new widget survive errors and its removal, and a field handle its keys immediately."""
        survive_errors(widget, self.show_failure, self.input_order.dispatched)
        draw_nothing_once_removed(widget)
        if isinstance(widget, FIELDS):
            act_on_keys_at_once(widget)

    def worker_failed(self, error: Exception) -> None:
        """Show the error of a worker; the chat keeps running with its draft and reply."""
        self.show_failure(error)

    def show_failure(self, error: Exception) -> None:
        """Show an unexpected error; one that repeats is shown at most every `AGAIN_SECONDS`."""
        now, place = time.monotonic(), origin(error)
        if self.exiting or now - self._last_shown.get(place, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return
        self._last_shown[place] = now
        said = one_line(error_text(error), 300)
        if (
            not isinstance(error, DiscernError)
            and (path := write_crash_file(self.home, error)) is not None
        ):
            said += "\n" + tr("The traceback is in {path}.", path=path)
        self.notify(clean(said), severity="error", markup=False)

    def crash_text(self, error: BaseException) -> str:
        """Return a message without a traceback, which could contain text of the conversation."""
        return clean(crash_message(self.home, error))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer our commands in the palette, before Textual's own."""
        for command in COMMANDS if self._chat_screen.is_mounted else ():
            yield SystemCommand(
                command.usage.partition(" ")[0],
                tr(command.hint),
                lambda command=command: self._chat_screen.submission.begin_command(command),
            )
        for key in KEYS:
            if key.where == "chat" and key.id != "back" and self._chat_screen.is_mounted:
                said = tr(key.help)
                yield SystemCommand(
                    said[:1].upper() + said[1:],
                    self.keyboard.shown(key.id),
                    lambda action=key.action: self._do(action),
                )
        for offered in super().get_system_commands(screen):
            if offered.title in TEXTUAL_COMMANDS:
                yield offered._replace(title=tr(offered.title), help=tr(offered.help))

    def action_command_palette(self) -> None:
        """Open the command palette in the user's language."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(Palette(placeholder=tr("Search for commands…")))

    def search_themes(self) -> None:
        """Open the list of themes."""
        self.push_screen(Palette([ThemeProvider], placeholder=tr("Search for themes…")))

    def action_copy_or_leave(self) -> None:
        """Copy the selection; without one, quit at the second press."""
        if selected := self._selected_text():
            self.copy_to_clipboard(selected)
            self._flash(tr("Copied."))
            return
        now = time.monotonic()
        if now - self._leaving_at < TWICE_SECONDS:
            self.action_leave()
            return
        self._leaving_at = now
        self._flash(
            tr("Press Ctrl+C again to quit. This stops the training.")
            if self._chat_screen.training.trainings.running
            else tr("Press Ctrl+C again to quit.")
        )

    def _flash(self, text: str) -> None:
        """Show a temporary message in the status line, or above a screen that covers it."""
        if self.screen is self._chat_screen:
            self._chat_screen.status.say(text, TWICE_SECONDS)
        else:
            self.notify(text, timeout=TWICE_SECONDS, markup=False)

    def _selected_text(self) -> str | None:
        if self.screen is self._chat_screen:
            own = self._chat_screen.composer.selected_text
            return own or clean(self._chat_screen.selected_source)
        return clean(self.screen.get_selected_text() or "")

    @work
    async def _do(self, action: str) -> None:
        await self._chat_screen.run_action(action)

    def action_help(self) -> None:
        """Show commands and keys."""
        if self.screen is self._chat_screen:
            self._chat_screen.open_help()

    def action_leave(self) -> None:
        """Exit."""
        self._chat_screen.leave()

    @property
    def failure(self) -> str | None:
        """The error that prevented the chat from opening."""
        return (
            None if (error := self._chat_screen.failed) is None else clean(render(error.sentence))
        )

    def close_resources(self) -> None:
        """Close the model, the memory and the trainings; call it after the screen is gone."""
        self._chat_screen.close_resources()

    def end(self, number: int) -> None:
        """Exit because of a signal; can be called at any time in the main thread."""
        if not self.call_from_signal(lambda: self.exit(None, 128 + number)):
            raise Terminated(number)


def run_chat(
    home: Home,
    settings: Settings,
    *,
    thread: str | None = None,
    new: bool = False,
    setup: bool = False,
) -> int:
    """Open the chat and return its exit code: 0, or 2 if it could not be opened."""
    app = DiscernApp(home, settings, thread=thread, new=new, setup=setup)
    with on_signals(app.end):
        try:
            app.run()
        finally:
            app.close_resources()
    if app.failure is not None:
        sys.stderr.write(f"discern: {clean(app.failure)}\n")
    return app.return_code or 0
