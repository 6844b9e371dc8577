"""Control the real application without a terminal, and read its screen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual.app import App
from textual.pilot import Pilot

from memory.errors import DiscernError
from memory.settings.paths import Home
from memory.settings.settings import Settings
from tui.app import DiscernApp
from tui.chat.screen import ChatScreen

PATIENCE = 90.0


class Watched(DiscernApp):
    """The application, which records unexpected errors: it continues after them, a test must not."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.unforeseen: list[Exception] = []
        super().__init__(*arguments, **options)

    def show_failure(self, error: Exception) -> None:
        if not self._exit and not isinstance(error, DiscernError):
            self.unforeseen.append(error)
        super().show_failure(error)


class Seat:
    """A user of an open chat."""

    def __init__(self, app: DiscernApp, pilot: Pilot[Any]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def screen(self) -> ChatScreen:
        screen = self.app.screen_stack[1]
        assert isinstance(screen, ChatScreen)
        return screen

    @property
    def shown(self) -> str:
        return shown(self.app)

    @property
    def draft(self) -> str:
        return self.screen.composer.text

    @property
    def status(self) -> str:
        return str(self.screen.status.content)

    async def until(self, condition: Callable[[], object], *, patience: float = PATIENCE) -> None:
        await until(condition, patience)

    async def sees(self, *texts: str) -> None:
        """Wait until all of these are on the screen, wherever the lines break."""

        def visible() -> bool:
            shown = " ".join(self.shown.split())
            return all(text in shown for text in texts)

        try:
            # Rendering the screen takes milliseconds that a training could use.
            await until(visible, longest_pause=0.05)
        except AssertionError:
            raise AssertionError(f"not all of {texts} in:\n{self.shown}") from None

    async def ready(self) -> None:
        screen = self.screen
        await self.until(
            lambda: screen.context.open_chat is not None and not screen.status.status.passing
        )
        await self.pilot.pause()

    async def types(self, text: str) -> None:
        """Type a line and send it."""
        self.screen.composer.write(text)
        await asyncio.sleep(0.02)
        self.screen.entry.close_menu()
        await self.hits("enter")
        if self.screen.conversation.streaming:
            await self.until(lambda: self.screen.composer.text != text)
        else:
            await self.pilot.pause()

    async def hits(self, *keys: str) -> None:
        """Press keys without waiting for the screen to settle."""
        for key in keys:
            self.app.simulate_key(key)
            await asyncio.sleep(0)

    async def heard(self) -> None:
        """Wait until all keys and pastes have been handled."""
        await self.until(lambda: self.all_heard)

    @property
    def all_heard(self) -> bool:
        """Whether all keys and pastes have been handled."""
        return self.app.input_order.idle and not self.app.message_queue_size

    async def asks(self, text: str) -> None:
        """Send a message and wait for the end of the reply."""
        count = len(self.screen.transcript.turns)
        await self.types(text)
        await self.until(lambda: len(self.screen.transcript.turns) == count + 1)
        await self.until(lambda: not self.screen.conversation.streaming)
        await self.pilot.pause()


@asynccontextmanager
async def sitting(
    home: Home,
    settings: Settings,
    *,
    size: tuple[int, int] = (80, 24),
    ready: bool = True,
    **options: Any,
) -> AsyncIterator[Seat]:
    """Open the chat; everything is closed at the end."""
    app = Watched(home, settings, **options)
    try:
        async with app.run_test(size=size, notifications=True) as pilot:
            seat = Seat(app, pilot)
            if ready:
                await pilot.pause()
                await seat.ready()
            yield seat
    finally:
        app.close_resources()
    for error in app.unforeseen:
        raise error


def shown(app: App[Any]) -> str:
    """Return the screen as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


async def until(
    condition: Callable[[], object], patience: float = PATIENCE, *, longest_pause: float = 0.01
) -> None:
    """Let the application run until the condition holds."""
    deadline, pause = time.monotonic() + patience, 0.01
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        await asyncio.sleep(pause)
        pause = min(1.2 * pause, longest_pause)
