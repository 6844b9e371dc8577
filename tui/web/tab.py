"""A tab: an application behind a websocket.

The application is a child process in its own session, so that Ctrl-C in the terminal only reaches the
server. The server asks its children to quit, then terminates and finally kills them; only the last step
prevents them from closing the journal properly.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO
from urllib.parse import urlsplit

from aiohttp import WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from memory.files.bounded_read import parse_json, parse_object

DRIVER = "tui.web.driver:TabDriver"
EXIT_SECONDS = (30.0, 10.0)
"""Seconds after which an application that was asked to leave is terminated, and then killed."""
LARGEST = 1 << 20
"""Maximum size of a message from the browser in bytes; a larger paste closes the tab."""


class Tab(AppService):
    """One application; `serve` returns when it has ended."""

    def __init__(
        self, websocket: web.WebSocketResponse, downloads: DownloadManager, options: Sequence[str]
    ) -> None:
        super().__init__(
            "discern",
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=self._close,
            download_manager=downloads,
        )
        self._websocket = websocket
        self._options = options
        self._stderr: IO[bytes] | None = None
        self._ending: asyncio.Task[None] | None = None
        self.stderr_text = ""
        """The error output of the application, once it has ended."""

    async def serve(self, width: int, height: int) -> None:
        """Run the application until the browser disconnects."""
        await self.start(width, height)
        try:
            async for message in self._websocket:
                if message.type == WSMsgType.TEXT:
                    await self._handle_message(message.data)
        finally:
            await self.stop()

    @property
    def leaving(self) -> bool:
        """Whether the application was asked to quit."""
        return self._ending is not None

    async def stop(self) -> None:
        """End the application and wait for it; safe to call again."""
        if self._task is None and self._ending is None:
            return  # not begun yet: `serve` ends it
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)

    # --- the browser -------------------------------------------------------------------------

    async def _handle_message(self, text: str) -> None:
        """Handle a message of the page; ignore invalid ones."""
        try:
            kind, *values = parse_json(text)
            value = values[0] if values else None
        except (ValueError, TypeError):
            return
        if kind == "stdin" and isinstance(value, str):
            await self.send_bytes(value.encode("utf-8", "replace"))
        elif kind == "resize" and isinstance(value, dict):
            await self.set_terminal_size(
                size(value.get("width"), 80), size(value.get("height"), 24)
            )
        elif kind == "ping" and isinstance(value, str):
            await self._websocket.send_json(["pong", value])
        elif kind == "blur":
            await self.blur()
        elif kind == "focus":
            await self.focus()

    async def _close(self) -> None:
        if not self._websocket.closed:
            await self._websocket.close()

    # --- the application ---------------------------------------------------------------------

    async def _open_app_process(
        self, width: int = 80, height: int = 24
    ) -> asyncio.subprocess.Process:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `_end`
        process = await asyncio.create_subprocess_exec(
            # -P: a folder named tui in the working directory must not be imported.
            *(sys.executable, "-P", "-m", "tui", "chat", *self._options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._stderr,
            env={**self._build_environment(width, height), "TEXTUAL_DRIVER": DRIVER},
            start_new_session=True,
        )
        # `run` would read stderr and print it unchanged.
        process.stderr = asyncio.StreamReader()
        process.stderr.feed_eof()
        self._process, self._stdin = process, process.stdin
        return process

    async def run(self) -> None:
        """Forward the application's output to the browser; close the websocket at its end."""
        await super().run()
        with suppress(ConnectionError, RuntimeError):
            await self._close()

    async def on_data(self, payload: bytes) -> None:
        """Send output; drop it if the browser is gone, so that the pipe stays empty."""
        with suppress(ConnectionError, RuntimeError):
            await super().on_data(payload)

    async def on_meta(self, data: bytes) -> None:
        """Forward a request of the application to the browser; only web pages may be opened."""
        asked = parse_object(data)
        if asked.get("type") == "open_url" and urlsplit(str(asked.get("url"))).scheme not in (
            "http",
            "https",
        ):
            return
        with suppress(ConnectionError, RuntimeError):
            await super().on_meta(data)

    async def _end(self) -> None:
        process, task = self._process, self._task
        if process is None or task is None:
            return
        await self._download_manager.cancel_app_downloads(self.app_service_id)
        asked = asyncio.create_task(self._ask_to_leave())
        for seconds, harder in zip(EXIT_SECONDS, (process.terminate, process.kill), strict=True):
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), seconds)
                break
            with suppress(ProcessLookupError):
                harder()
        await process.wait()
        for over in (asked, task):
            over.cancel()
            with suppress(asyncio.CancelledError):
                await over
        assert self._stderr is not None
        with self._stderr as words:
            words.seek(0)
            self.stderr_text = words.read(LARGEST).decode("utf-8", "replace")

    async def _ask_to_leave(self) -> None:
        """Ask the application to quit; one that hangs may never read this."""
        await self.send_meta({"type": "quit"})
        self.stdin.close()


def size(value: object, otherwise: int) -> int:
    """Return a width or height within the limits of a terminal."""
    try:
        return max(2, min(1000, int(str(value))))
    except ValueError:
        return otherwise
