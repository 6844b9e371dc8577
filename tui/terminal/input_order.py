"""Handling of keys in the order in which they were pressed, even if they arrive in one read.

Textual dispatches a key to the focused widget and takes the next one immediately. A printable key is
handled there, but a key with a binding (Backspace, an arrow, Tab) first bubbles up to the application,
so that printable keys after it are handled before it.

Here, a field handles its own keys immediately, in the order of its queue. Any other input waits until
the keys before it are done: stopped by a widget, back at the application, or without a target. The wait
ends after `MAX_WAIT_SECONDS` seconds, so that quitting always works.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable

from textual.app import App
from textual.events import InputEvent, Key, Paste
from textual.message import Message
from textual.message_pump import MessagePump
from textual.widget import Widget
from textual.widgets import Input as Line
from textual.widgets import TextArea

from tui.terminal.textual_patches.dispatch import bound_in, bubbles, has_priority, is_closed

Input = InputEvent | Paste
FIELDS = (Line, TextArea)
MAX_WAIT_SECONDS = 3.0
"""Maximum seconds that inputs wait for a key."""


class InputOrder:
    """Inputs of keyboard, mouse and clipboard that are waiting or being handled."""

    def __init__(self, app: App[int], dispatch: Callable[[Input], Awaitable[None]]) -> None:
        """`dispatch` is called in the application's task, with one input at a time."""
        self._app, self._dispatch = app, dispatch
        self._waiting: deque[Input] = deque()
        self._under_way: list[Key] = []
        self._field: Widget | None = None
        """The field that handles all keys under way, if there is one."""
        self._since = 0.0
        self._woken = False
        """Whether a timer will end the wait for the keys under way."""

    @property
    def idle(self) -> bool:
        """Whether no input is waiting and every key is done."""
        return not self._under_way and not self._waiting

    async def take(self, event: Input) -> None:
        """Queue an input and dispatch it when it is its turn."""
        self._waiting.append(event)
        await self._dispatch_waiting()

    def done(self, event: Message) -> None:
        """Note that a key is done."""
        if any(event is key for key in self._under_way):
            self._under_way = [key for key in self._under_way if key is not event]
            self._continue()

    def dispatched(self, pump: MessagePump, event: Message) -> None:
        """Note whether a key ended at `pump`, which has just handled it."""
        if isinstance(event, Key) and not bubbles(pump, event):
            self.done(event)

    def _continue(self) -> None:
        if self._waiting and not self._under_way:
            self._app.call_later(self._dispatch_waiting)

    async def _wake(self) -> None:
        self._woken = False
        await self._dispatch_waiting()

    async def _dispatch_waiting(self) -> None:
        while self._waiting:
            field = self._field_of(self._waiting[0])
            if self._under_way and (field is None or field is not self._field):
                if (left := self._since + MAX_WAIT_SECONDS - time.monotonic()) > 0:
                    if not self._woken:
                        self._woken = True
                        self._app.set_timer(left, self._wake)
                    return
                self._under_way = []
            event, self._field = self._waiting.popleft(), field
            if isinstance(event, Key):
                self._under_way.append(event)
                self._since = time.monotonic()
            try:
                await self._dispatch(event)
            except BaseException:
                self.done(event)
                self._continue()  # after an input that is no key
                raise
            target = self._app.focused or self._app.screen if self._app.screen_stack else None
            if not event.is_forwarded or target is None or is_closed(target):
                self.done(event)

    def _field_of(self, event: Input) -> Widget | None:
        """Return the focused field if it will act on a key itself."""
        field = self._app.focused if self._app.screen_stack else None
        if not isinstance(event, Key) or not isinstance(field, FIELDS):
            return None
        if has_priority(self._app, event.key):
            return None
        consumes = field.check_consume_key(event.key, event.character)
        return field if consumes or bound_in(field, event.key) else None
