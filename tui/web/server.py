"""`discern web`: the pages, a websocket for each tab, and an orderly shutdown.

It listens on the loopback address only. Its page replaces the one of textual-serve, which loads a font
from another site; scripts, styles and fonts are served from that package.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import textual_serve
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from textual_serve.download_manager import DownloadManager

from tui.terminal.sanitize import clean
from tui.terminal.signals import on_signals
from tui.web.auth import Authenticator
from tui.web.listening import FULL, REQUEST_SECONDS, accept, listen
from tui.web.tab import LARGEST, Tab, size

HERE = Path(__file__).parent
STATIC = Path(textual_serve.__file__).parent / "static"
CLOSING_SECONDS = 15.0
"""Maximum seconds that a new tab waits for closing ones, for example the same tab before a reload."""

MAX_TABS = 6
"""Maximum number of tabs: each is a process with its own model."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stopped:
    """How the server ended: the signal, and the number of tabs that were open."""

    number: int
    tabs: int


class Server:
    """The server; `run` returns after it was stopped and all applications have ended."""

    def __init__(self, options: Sequence[str], on_stderr: Say, *, light: bool = False) -> None:
        """Pass `options` to each chat; `on_stderr` gets the error output of each."""
        self._options, self._on_stderr = options, on_stderr
        self._downloads = DownloadManager()
        self._tabs: set[Tab] = set()
        self._signals: list[int] = []
        self._stopping = asyncio.Event()
        page = (HERE / "page.html").read_text(encoding="utf-8")
        self._page = page.replace("SHADE", "light" if light else "dark")

    async def run(self, port: int, on_open: Callable[[Authenticator], None]) -> Stopped:
        """Serve until Ctrl-C, SIGTERM or SIGHUP. Call it in the main thread.

        `on_open` gets the authenticator once the server accepts connections.

        Raises:
            HomeError: the port is taken.
        """
        logging.getLogger("textual-serve").disabled = True
        logging.getLogger("aiohttp.server").addFilter(_worth_a_traceback)
        loop = asyncio.get_running_loop()
        with on_signals(lambda n: loop.call_soon_threadsafe(self.stop, n), signal.SIGINT):
            tabs = await self._serve_pages(port, on_open)
        return Stopped(self._signals[0], tabs)

    def stop(self, number: int) -> None:
        """Stop serving because of this signal."""
        self._signals.append(number)
        self._stopping.set()

    async def _serve_pages(self, port: int, on_open: Callable[[Authenticator], None]) -> int:
        """Serve until `_stopping` is set; return the number of tabs that were open."""
        listening = listen(port)
        authenticator = Authenticator(listening.getsockname()[1])
        runner = web.AppRunner(
            self._application(authenticator),
            access_log=None,
            shutdown_timeout=1,
            keepalive_timeout=REQUEST_SECONDS,
            lingering_time=REQUEST_SECONDS,
        )
        await runner.setup()
        assert runner.server is not None
        accepting = asyncio.create_task(accept(listening, runner.server, self._on_stderr))
        try:
            on_open(authenticator)
            await self._stopping.wait()
        finally:
            accepting.cancel()
            await asyncio.wait([accepting])
            listening.close()
            ended = len(self._tabs)
            await asyncio.gather(*(tab.stop() for tab in self._tabs))
            await runner.cleanup()
        return ended

    def _application(self, authenticator: Authenticator) -> web.Application:
        application = web.Application(middlewares=[authenticator.guard])
        application.on_response_prepare.append(authenticator.harden)
        application.add_routes(
            [
                web.get("/", self._index),
                web.get("/{file:page[.](css|js)}", self._part),
                web.get("/ws", self._tab),
                web.get("/download/{key}", self._download),
                web.static("/static", STATIC),
            ]
        )
        return application

    async def _index(self, request: web.Request) -> web.Response:
        # The authenticator admits only our own two hosts, so nothing needs escaping.
        return web.Response(
            text=self._page.replace("HOST", request.host), content_type="text/html", charset="utf-8"
        )

    async def _part(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(HERE / request.match_info["file"])

    async def _tab(self, request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(heartbeat=15, max_msg_size=LARGEST)
        full = sum(not tab.leaving for tab in self._tabs) >= MAX_TABS
        tab = Tab(websocket, self._downloads, self._options)
        if not full:
            self._tabs.add(tab)
        try:
            await websocket.prepare(request)
            if full:
                self._on_stderr(
                    f"A tab was not opened: {MAX_TABS} are open already, and each holds a model; close "
                    "one and open it again."
                )
                await websocket.close()
            else:
                await self._serve(tab, websocket, request)
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._on_stderr(f"A tab was not opened: {error.strerror}; close others and try again.")
        finally:
            await tab.stop()
            self._tabs.discard(tab)
            if words := clean(tab.stderr_text).strip():
                self._on_stderr(words)
        return websocket

    async def _serve(
        self, tab: Tab, websocket: web.WebSocketResponse, request: web.Request
    ) -> None:
        await self._wait_for_closing_tabs()
        if self._stopping.is_set():
            await websocket.close()
        else:
            await tab.serve(
                size(request.query.get("width"), 80), size(request.query.get("height"), 24)
            )

    async def _wait_for_closing_tabs(self) -> None:
        """Wait for closing tabs, because they still use the index."""
        if leaving := [asyncio.ensure_future(tab.stop()) for tab in self._tabs if tab.leaving]:
            await asyncio.wait(leaving, timeout=CLOSING_SECONDS)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """Send a file of the application as a download, never to be displayed."""
        key = request.match_info["key"]
        try:
            about = await self._downloads.get_download_metadata(key)
        except KeyError:
            return web.Response(status=404, text="There is no such file.\n")
        named = f"attachment; filename*=UTF-8''{quote(about.file_name, safe='')}"
        response = web.StreamResponse(
            headers={"Content-Type": "application/octet-stream", "Content-Disposition": named}
        )
        await response.prepare(request)
        async for piece in self._downloads.download(key):
            await response.write(piece)
        await response.write_eof()
        return response


def _worth_a_traceback(record: logging.LogRecord) -> bool:
    """Filter out log records of aiohttp about malformed requests.

    Anyone on this machine can send those. Failures without a free descriptor are filtered too.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not (
        isinstance(error, HttpProcessingError)
        or (isinstance(error, OSError) and error.errno in FULL)
    )
