"""The driver of an application in a tab: it leaves with the server, and writes whole packets.

The application talks to `discern web` through its pipes. A server that was killed says no farewell: the
input just ends, and the application must end with it rather than hold the model for nobody.
"""

from __future__ import annotations

import os
from contextlib import suppress

from textual import messages

from tui.terminal.textual_patches.drivers import PacketDriver


class TabDriver(PacketDriver):
    """Textual's driver for browsers, with a way out."""

    def run_input_thread(self) -> None:
        """Hear until the input ends, and leave then."""
        super().run_input_thread()
        if not self.exit_event.is_set():
            self.post(messages.ExitApp())

    def write_packet(self, data: bytes) -> int:
        """Write all of it; what nobody reads any more is dropped."""
        rest = memoryview(data)
        with suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(self.fileno, rest) :]
        return len(data)
