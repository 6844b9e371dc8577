"""The Textual driver of an application in a browser tab.

The application talks to `discern web` through pipes. If the server is killed, the input ends, and
the application must exit instead of keeping the model loaded.
"""

from __future__ import annotations

import os
from contextlib import suppress

from textual import messages

from tui.terminal.textual_patches.drivers import PacketDriver


class TabDriver(PacketDriver):
    """A driver that exits with the server and writes whole packets."""

    def run_input_thread(self) -> None:
        """Read until the input ends, then exit."""
        super().run_input_thread()
        if not self.exit_event.is_set():
            self.post(messages.ExitApp())

    def write_packet(self, data: bytes) -> int:
        """Write the complete packet, unless the reader is gone."""
        rest = memoryview(data)
        with suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(self.fileno, rest) :]
        return len(data)
