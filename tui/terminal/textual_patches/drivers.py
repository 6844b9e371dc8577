"""Textual's drivers: safe pastes, closing terminals, and complete packets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import IO, Any

from textual._xterm_parser import XTermParser
from textual.driver import Driver
from textual.drivers.web_driver import WebDriver
from textual.events import Key
from textual.message import Message

from tui.terminal.paste import PasteGate

_ALT = "\x1b"
_INTRODUCERS = frozenset("[OPX]^_")
"""Characters that follow ESC in a sequence (ECMA-48); others were pressed with Alt."""


class SafeParser(XTermParser):
    """Textual's parser of terminal input behind a `PasteGate`.

    It reports keys pressed with Alt immediately. Textual waits for a pause after them; without one it
    reads Alt+D as "^" and "d", and ESC CR, which tmux and others send for Alt+Enter, as Esc and Enter.
    """

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._gate = PasteGate()

    def feed(self, data: str) -> Iterable[Message]:
        """Yield the events of the terminal's input; "" ends it."""
        text = self._gate.feed(data)
        return super().feed(text) if text or not data else ()

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[Key]:
        known = list(super()._sequence_to_key_events(sequence, alt))
        if known or len(sequence) != 2 or sequence[0] != _ALT or sequence[1] in _INTRODUCERS:
            return known
        return [
            key if key.key.startswith("alt+") else Key(f"alt+{key.key}", None)
            for key in super()._sequence_to_key_events(sequence[1], alt=True)
        ]


def use_safe_parser(driver: type[Driver]) -> None:
    """Make a driver use `SafeParser`, by replacing the name that its module imported."""
    for base in driver.__mro__:
        module = sys.modules[base.__module__]
        if getattr(module, "XTermParser", None) is XTermParser and module.__name__ != __name__:
            vars(module)["XTermParser"] = SafeParser


def survive_hangup(driver: type[Driver]) -> type[Driver]:
    """Return a driver that keeps working when its terminal is gone, so that quitting does not block."""

    class SurvivingDriver(driver):  # type: ignore[valid-type, misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            if (stream := vars(self).get("_file")) is not None:
                self._file = LenientStream(stream)

    return SurvivingDriver


class LenientStream:
    """A stream whose failed writes are ignored."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write; ignore errors."""
        with suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush; ignore errors."""
        with suppress(OSError):
            self._stream.flush()


class PacketDriver(WebDriver):
    """Textual's driver for browsers, writing through `write_packet`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._to_stream: Callable[[bytes], object] = self._write
        self._write: Callable[[bytes], int] = self.write_packet  # type: ignore[assignment]

    def write_packet(self, data: bytes) -> int:
        """Write a packet for the browser, by default to the stream; return its length."""
        self._to_stream(data)
        return len(data)

    def post(self, message: Message) -> None:
        """Post a message to the application."""
        self._app.post_message(message)
