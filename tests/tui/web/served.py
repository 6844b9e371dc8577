"""A running `discern web` and its clients: one with cookies, and a tab without a browser."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from memory.settings.paths import Home
from tests.support.processes import ROOT
from tests.tui.seat import until


class Served:
    """A `discern web` that runs, and a browser's cookies."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process, self.url = process, url
        self.base = url.partition("?")[0]
        self.origin = self.base.rstrip("/")
        self.client = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def get(self, path: str, **options: Any) -> tuple[int, str, Any]:
        async with self.client.get(self.origin + path, allow_redirects=False, **options) as answer:
            return answer.status, await answer.text(), answer.headers

    async def come_in(self) -> None:
        assert (await self.get("/?" + self.url.partition("?")[2]))[0] == 303


class Opened:
    """A tab: what was painted so far."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self.websocket = websocket
        self.painted = b""
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for message in self.websocket:
            if message.type == aiohttp.WSMsgType.BINARY:
                self.painted += message.data

    @property
    def shown(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", self.painted.decode(errors="replace"))

    async def sees(self, text: str) -> None:
        try:
            await until(lambda: text in self.shown or self._listening.done())
        finally:
            assert text in self.shown, self.shown[-2000:]

    async def types(self, text: str) -> None:
        await self.websocket.send_json(["stdin", text])
        await until(lambda: text in self.shown)
        await self.websocket.send_json(["stdin", "\r"])

    async def close(self) -> None:
        await self.websocket.close()
        await self._listening


@asynccontextmanager
async def serving(*options: str, **environment: str) -> AsyncIterator[Served]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tui", "web", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    assert process.stdout is not None
    served = Served(process, (await process.stdout.readline()).decode().strip())
    try:
        yield served
    finally:
        await served.client.close()
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.communicate()


@asynccontextmanager
async def tab(served: Served, **options: Any) -> AsyncIterator[Opened]:
    headers = {"Origin": served.origin}
    async with served.client.ws_connect(
        f"{served.origin}/ws?width=80&height=24", headers=headers, **options
    ) as websocket:
        opened = Opened(websocket)
        yield opened
        await opened.close()


def children(home: Home) -> list[int]:
    """The chats that run in this home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"chat" in words and f"DISCERN_HOME={home.data}".encode() in environment:
            found.append(int(folder.name))
    return found
