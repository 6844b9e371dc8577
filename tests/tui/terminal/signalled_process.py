"""The command line, which gets a signal while it syncs a file or reads a line.

python -m tests.tui.terminal.signalled_process NUMBER VERB …
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from memory.transfer import import_export
from memory.transfer.export_schema import read_line
from tui.cli.main import main

NUMBER = int(sys.argv.pop(1))


def signalled(function: Any) -> Any:
    def then(*arguments: Any) -> Any:
        signal.raise_signal(NUMBER)
        return function(*arguments)

    return then


if __name__ == "__main__":
    os.fsync = signalled(os.fsync)
    setattr(import_export, "read_line", signalled(read_line))  # noqa: B010 - not exported there
    main()
