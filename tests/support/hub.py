"""A local stand-in for the Hugging Face Hub."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPO, FILE = "Some/Tiny-GGUF", "tiny.gguf"


class Hub:
    """A local server with one model file, which can fail in several ways."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.sha256: str | None = hashlib.sha256(body).hexdigest()
        self.cut_at = 0  # where every download breaks off
        self.asked: list[str] = []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(head=True)

            def do_GET(self) -> None:
                self._answer(head=False)

            def log_message(self, *_args: Any) -> None: ...

            def _answer(self, *, head: bool) -> None:
                hub.asked.append(f"{self.command} {self.path} {self.headers.get('Range', '')}")
                if self.path == f"/api/models/{REPO}":
                    card = {"id": REPO, "tags": [], "cardData": {"license": "apache-2.0"}}
                    return self._send(json.dumps(card).encode(), 200, head)
                if not re.fullmatch(f"/{REPO}/resolve/[0-9a-z]+/{FILE}", self.path):
                    self.send_response(404)
                    self.send_header("X-Error-Code", "EntryNotFound")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return None
                start = int((self.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
                return self._send(hub.body[start:], 206 if start else 200, head, start)

            def _send(self, body: bytes, status: int, head: bool, start: int = 0) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Repo-Commit", "c0ffee")
                if hub.sha256:
                    self.send_header("X-Linked-Etag", f'"{hub.sha256}"')
                self.send_header("X-Linked-Size", str(len(hub.body)))
                if start:
                    whole = len(hub.body)
                    self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
                self.end_headers()
                if not head:
                    if hub.cut_at and self.path.endswith(FILE):
                        body = body[: max(0, hub.cut_at - start)]
                    self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def hub(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    stand_in = Hub(tiny.read_bytes())
    monkeypatch.setenv("HF_ENDPOINT", stand_in.url)
    from huggingface_hub import constants

    monkeypatch.setattr("time.sleep", lambda _seconds: None)  # between retries
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)
    yield stand_in
    stand_in.server.shutdown()
    stand_in.server.server_close()
