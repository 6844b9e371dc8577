"""The application: themes, the chat screen, leaving.

Importing this costs Textual and nothing heavier; the model is loaded after the first paint. What was
opened is closed after the screen is gone, so that a slow close never freezes it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.filter import NoColor
from textual.screen import Screen

from memory import language
from memory.home import Home, Settings, read_settings
from memory.language import tr
from tui.commands import COMMANDS
from tui.keys import KEYS, Keyboard, bindings
from tui.screens.chat import ChatScreen
from tui.text import clean
from tui.themes import DARK, LIGHT

TWICE_SECONDS = 2.0


class DiscernApp(App[int]):
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
        """Take what the chat is opened with; `setup` asks the questions of the first start before."""
        super().__init__()
        language.use(settings.ui.language)
        self.home = home
        self.settings = settings
        self._leaving_at = 0.0
        self.keyboard = Keyboard(settings.keys, str(home.settings_file))
        self.set_keymap(self.keyboard.own)
        self._setup = setup
        self._thread, self._new = thread, new
        self._chat_screen = ChatScreen(home, settings, thread=thread, new=new)
        if self.no_color:
            self._filters = [NoColor()]
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        known = settings.ui.theme in self.available_themes
        self.theme = settings.ui.theme if known else DARK.name

    def on_mount(self) -> None:
        """Show the chat, or what is asked before it."""
        if self._setup:
            from tui.screens.setup import SetupScreen

            self.push_screen(SetupScreen(self.home, self.settings), self._begin)
        else:
            self.push_screen(self._chat_screen)

    def _begin(self, _answered: None) -> None:
        """Open the chat with what was answered."""
        self.settings = read_settings(self.home)
        self._chat_screen = ChatScreen(self.home, self.settings, thread=self._thread, new=self._new)
        self.push_screen(self._chat_screen)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer our commands in the palette, before Textual's own."""
        for command in COMMANDS if self._chat_screen.is_mounted else ():
            yield SystemCommand(
                command.usage.partition(" ")[0],
                command.hint,
                lambda command=command: self._chat_screen.pick(command),
            )
        for key in KEYS:
            if key.where == "chat" and key.id != "back" and self._chat_screen.is_mounted:
                yield SystemCommand(
                    key.help[:1].upper() + key.help[1:],
                    self.keyboard.shown(key.id),
                    lambda action=key.action: self._do(action),
                )
        for offered in super().get_system_commands(screen):
            if offered.title in ("Theme", "Screenshot"):
                yield offered

    def action_copy_or_leave(self) -> None:
        """Copy what is selected; with nothing selected, leave at the second press."""
        screen = self._chat_screen
        selected = screen.composer.selected_text or self._selected_text()
        if selected:
            self.copy_to_clipboard(clean(selected))
            screen.status.say("Copied.", TWICE_SECONDS)
            return
        now = time.monotonic()
        if now - self._leaving_at < TWICE_SECONDS:
            self.action_leave()
            return
        self._leaving_at = now
        if not screen.is_mounted:  # the questions before it
            self.notify(tr("Ctrl+C again leaves."), timeout=TWICE_SECONDS)
            return
        more = " Leaving stops the training." if screen.training.running else ""
        screen.status.say(f"Ctrl+C again leaves.{more}", TWICE_SECONDS)

    def _selected_text(self) -> str | None:
        if self.screen is self._chat_screen:
            return self._chat_screen.selected_source()
        return self.screen.get_selected_text()

    def _do(self, action: str) -> None:
        self.run_worker(self._chat_screen.run_action(action))

    def action_help(self) -> None:
        """Show the commands and the keys."""
        if self.screen is self._chat_screen:
            self._chat_screen.open_help()

    def action_leave(self) -> None:
        """Leave now."""
        self._chat_screen.leave()

    @property
    def failure(self) -> str | None:
        """Why the chat could not be opened, in one sentence."""
        return None if (error := self._chat_screen.failed) is None else clean(str(error))

    def let_go(self) -> None:
        """Close the model, the memory and the trainings; for after the screen is gone."""
        self._chat_screen.let_go()


def run_chat(
    home: Home,
    settings: Settings,
    *,
    thread: str | None = None,
    new: bool = False,
    setup: bool = False,
) -> int:
    """Open the chat and return the exit code once it is left: 0, or 2 when it could not be opened."""
    app = DiscernApp(home, settings, thread=thread, new=new, setup=setup)
    try:
        app.run()
    finally:
        app.let_go()
    if app.failure is not None:
        sys.stderr.write(f"discern: {app.failure}\n")
    return app.return_code or 0
