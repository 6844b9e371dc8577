"""The real application with scripted replies, split between every two characters.

    python -m tests.tui.terminal.pty_process SCRIPT.txt

What the model says is replaced in the stream and in the finished turn; everything else is the real one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.chat.chat import Chat
from agent.chat.graph import Delta, Finished
from tui.cli.main import main

SCRIPT = Path(sys.argv.pop()).read_bytes().decode()
say = Chat.say


def scripted(self: Chat, *arguments: Any, **options: Any) -> Iterator[Any]:
    spoken = False
    for event in say(self, *arguments, **options):
        if isinstance(event, Delta):
            for piece in () if spoken else SCRIPT:
                yield replace(event, text=piece)
                time.sleep(0.002)  # so that the screen draws in between
            spoken = True
        elif isinstance(event, Finished):
            yield replace(event, turn=replace(event.turn, replied=SCRIPT))
        else:
            yield event


if __name__ == "__main__":
    Chat.say = scripted  # type: ignore[assignment, method-assign]
    main()
