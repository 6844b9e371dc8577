"""The real application in which a key breaks a handler that no fault was foreseen in.

python -m tests.tui.breaking_process chat --new
"""

from __future__ import annotations

from tui.cli import main
from tui.screens.chat import ChatScreen


def breaks(_screen: ChatScreen, _message: object) -> None:
    raise KeyError("words that a person said")


if __name__ == "__main__":
    ChatScreen.on_composer_page = breaks  # type: ignore[method-assign]
    main()
