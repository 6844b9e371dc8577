"""A quiet word that a reply may be worth a mark. It marks nothing and goes with the next message."""

from __future__ import annotations

from tui.widgets.chat.notice import Notice


class Hint(Notice):
    """One dim line; `turn` is the id of the reply it is about."""

    def __init__(self, text: str, turn: str) -> None:
        super().__init__(text)
        self.turn = turn
