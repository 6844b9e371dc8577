"""The driver of an application in a tab: it leaves with the server, and writes whole packets.

The application talks to `discern web` through its pipes. A server that was killed says no farewell: the
input just ends, and the application must end with it rather than hold the model for nobody.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from textual import messages
from textual.drivers.web_driver import WebDriver


class TabDriver(WebDriver):
    """Textual's driver for browsers, with a way out."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._write = self._put  # type: ignore[assignment]

    def run_input_thread(self) -> None:
        """Hear until the input ends, and leave then."""
        super().run_input_thread()
        if not self.exit_event.is_set():
            self._app.post_message(messages.ExitApp())

    def _put(self, data: bytes) -> int:
        """Write all of it; what nobody reads any more is dropped."""
        rest = memoryview(data)
        with suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(self.fileno, rest) :]
        return len(data)
