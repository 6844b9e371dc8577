"""`/help`, `/theme` and `/quit`."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from memory.i18n.interface_language import tr
from tui.chat.context import ChatContext
from tui.commands.registry import Command
from tui.keys.bindings import keyboard_of
from tui.terminal.sanitize import one_line


class ApplicationHandler:
    """Commands about the application as a whole."""

    def __init__(
        self, context: ChatContext, begin: Callable[[Command], None], leave: Callable[[], None]
    ) -> None:
        """`begin` puts a command into the input or runs it; `leave` ends the application."""
        self._context, self._begin, self._leave = context, begin, leave

    async def help(self, argument: str = "") -> None:
        """Open the list of commands and keys; begin the command that is chosen there."""
        from tui.screens.help import HelpScreen

        app = self._context.app
        chosen = await app.push_screen_wait(HelpScreen(keyboard_of(app), argument))
        if chosen is not None:
            self._begin(chosen)

    async def theme(self, argument: str) -> None:
        """Change the theme; without an argument, open the list of themes."""
        from tui.terminal.themes import THEMES

        if not argument:
            self._context.app.search_themes()
        elif argument in THEMES:
            self._context.app.theme = argument
        else:
            near = get_close_matches(argument, THEMES, n=1, cutoff=0.4)
            name = one_line(argument, 40)
            said = (
                tr("Unknown theme {name}. Did you mean {near}?", name=name, near=near[0])
                if near
                else tr("Unknown theme {name}. /theme lists all themes.", name=name)
            )
            await self._context.say(said, "error")

    async def quit(self, argument: str = "") -> None:
        """Leave the application."""
        self._leave()
