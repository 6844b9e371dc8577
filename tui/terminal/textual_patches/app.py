"""Textual's application: hooks for new widgets, failed workers and crashes."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.text import Text
from textual.app import App
from textual.dom import DOMNode
from textual.filter import NoColor
from textual.widget import Widget
from textual.worker import WorkerFailed


class PatchedApp(App[int]):
    """An application with hooks where Textual has no public method to override."""

    def widget_added(self, widget: Widget) -> None:
        """Prepare a widget that is about to be mounted."""

    def worker_failed(self, error: Exception) -> None:
        """Handle an error that ended a worker; unless overridden, the application ends with it."""
        super()._handle_exception(error)

    def crash_text(self, error: BaseException) -> str:
        """Return the text to print after a crash, instead of a traceback."""
        return f"{type(error).__name__}: {error}"

    @property
    def exiting(self) -> bool:
        """Whether the application was asked to exit."""
        return self._exit

    def keep_styles_without_colours(self) -> None:
        """Drop colours but keep styles; Textual's NO_COLOR would use shades of grey."""
        self._filters = [NoColor()]

    def call_from_signal(self, callback: Callable[[], object]) -> bool:
        """Run `callback` in the application's loop; return False if it does not run."""
        if self._loop is None or not self._loop.is_running():
            return False
        self._loop.call_soon_threadsafe(callback)
        return True

    def _register_child(
        self, parent: DOMNode, child: Widget, before: int | None, after: int | None
    ) -> None:
        self.widget_added(child)
        super()._register_child(parent, child, before, after)

    def _handle_exception(self, error: Exception) -> None:
        if isinstance(error, WorkerFailed):
            self.worker_failed(error.error if isinstance(error.error, Exception) else error)
        else:
            super()._handle_exception(error)

    def _fatal_error(self) -> None:
        if (error := sys.exception()) is not None:
            self._exit_renderables.append(Text(self.crash_text(error)))
        self._close_messages_no_wait()
