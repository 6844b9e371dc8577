"""The base of all screens over the chat."""

from __future__ import annotations

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, ScreenResultType


class Modal(ModalScreen[ScreenResultType]):
    """A screen that can be dismissed only once."""

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Dismiss the screen; a second call must not dismiss the one below."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
