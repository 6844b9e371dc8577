"""A screen that is left once, however many keys ask for it."""

from __future__ import annotations

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, ScreenResultType


class Modal(ModalScreen[ScreenResultType]):
    """What all screens but the chat have in common."""

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Leave; a second key on its way by then must not take the screen below, too."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
