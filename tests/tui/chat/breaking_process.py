"""The real application with an unexpected error in a handler, or while a screen is created.

python -m tests.tui.chat.breaking_process chat --new
"""

from __future__ import annotations

from tui.chat.screen import ChatScreen
from tui.cli.main import main
from tui.screens.help import HelpScreen


def breaks(*_arguments: object) -> None:
    raise KeyError("words that a person said")


if __name__ == "__main__":
    ChatScreen.on_composer_page = breaks  # type: ignore[assignment, method-assign]
    HelpScreen.compose = breaks  # type: ignore[assignment, method-assign]
    main()
