"""Opening the chat in a thread after the first paint: heavy imports, the model, the memory."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.message import Message

from memory.i18n.interface_language import render
from memory.sentence import Sentence
from memory.settings.paths import Home
from memory.settings.settings import Settings

if TYPE_CHECKING:
    from agent.chat.chat import Chat


class Opened(Message):
    """The chat is open, or could not be opened."""

    def __init__(self, chat: Chat | None, error: Exception | None) -> None:
        super().__init__()
        self.chat = chat
        self.error = error


class OpeningStep(Message):
    """A step of opening the chat."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Opening:
    """Opens a chat; `close` can be called at any time and waits for up to 30 seconds."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        post: Callable[[Message], object],
        *,
        thread: str | None,
        new: bool,
    ) -> None:
        self._home, self._settings, self._post = home, settings, post
        self._thread, self._new = thread, new
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._chat: Chat | None = None
        self._worker = threading.Thread(target=self._open, name="discern-open", daemon=True)

    def begin(self) -> None:
        """Start the thread, which posts `Opened` at the end."""
        self._worker.start()

    def close(self) -> None:
        """Close the chat, even while it is being opened."""
        self._closed.set()
        gc.unfreeze()
        if self._worker.is_alive():
            self._worker.join(30)
        with self._lock:
            if self._chat is not None:
                self._chat.close()
                self._chat = None

    def _open(self) -> None:
        try:
            from agent.chat.chat import Chat

            chat = Chat.open(
                self._home,
                self._settings,
                thread=self._thread,
                new=self._new,
                on_step=lambda doing: self._say(doing),
            )
        except Exception as error:
            self._post(Opened(None, error))
            return
        from tui.markdown.parser import parser

        parser()  # imports it now: during a reply the import would delay keys
        with self._lock:
            self._chat = chat
        gc.freeze()  # collecting these long-lived objects would delay keys
        if not self._closed.is_set():
            self._post(Opened(chat, None))

    def _say(self, doing: Sentence) -> None:
        self._post(OpeningStep(render(doing)))
