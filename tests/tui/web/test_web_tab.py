"""One browser tab: links, downloads, and how it ends."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from textual_serve.download_manager import DownloadManager

from memory.settings.paths import Home
from tests.tui.web.served import children
from tui.web.server import Server
from tui.web.tab import Tab


class Heard:
    """A websocket that records what it is sent."""

    closed = False

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send_str(self, text: str) -> None:
        self.sent.append(json.loads(text))

    async def send_bytes(self, data: bytes) -> None:
        raise ConnectionResetError

    async def close(self) -> None:
        self.closed = True


async def test_only_web_links_are_opened() -> None:
    websocket = Heard()
    opened = Tab(websocket, DownloadManager(), [])  # type: ignore[arg-type]
    for url in ("javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "https://x.org/"):
        meta = {"type": "open_url", "url": url, "new_tab": True}
        await opened.on_meta(json.dumps(meta).encode())
    assert [said[1]["url"] for said in websocket.sent] == ["https://x.org/"]
    await opened.on_data(b"a picture for nobody")


async def test_a_chat_that_no_longer_responds_is_still_ended(
    by_words: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.web.tab.EXIT_SECONDS", (0.2, 0.2))
    opened = Tab(Heard(), DownloadManager(), [])  # type: ignore[arg-type]
    await opened.start(80, 24)
    process = opened._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    opened.stdin.write(b"x" * 1_000_000)  # more than the pipe holds
    await opened.stop()
    assert process.returncode == -signal.SIGKILL
    assert not children(by_words)


async def test_a_file_is_downloaded_and_never_displayed(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server([], print)
    await server._downloads.create_download(
        app_service=None,  # type: ignore[arg-type]
        delivery_key="k",
        file_name='a"; x=\r\nSet-Cookie: я.html',
        open_method="browser",
        mime_type="text/html",
    )

    async def pieces(_key: str) -> AsyncIterator[bytes]:
        yield b"<script>"

    monkeypatch.setattr(server._downloads, "download", pieces)
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    application = web.Application()
    application.router.add_get("/download/{key}", server._download)
    async with TestClient(TestServer(application)) as client:
        answer = await client.get("/download/k")
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''a%22")
        assert "Set-Cookie" not in answer.headers
        assert await answer.read() == b"<script>"
        assert (await client.get("/download/other")).status == 404
