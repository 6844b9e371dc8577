"""The private names of Chroma that are used; a new version is reviewed before it is allowed."""

from __future__ import annotations

from pathlib import Path

import chromadb
import pytest
from chromadb.api.fastapi import FastAPI
from chromadb.config import Settings, System

from memory.recall.chroma_store import Store, http_sessions

VERSION = "1.5.9"


def test_the_private_names_were_checked_in_this_version() -> None:
    assert chromadb.__version__ == VERSION, "check `http_sessions`, then change VERSION here"


def test_the_http_sessions_of_a_client_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = {"chroma_server_host": "localhost", "chroma_server_http_port": 1}
    server = FastAPI(System(Settings(anonymized_telemetry=False, **where)))
    client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
    try:
        assert http_sessions(client) == []
        monkeypatch.setattr(client, "_server", server)
        monkeypatch.setattr(client._admin_client, "_server", server)
        first, second = http_sessions(client)
        assert first is second
        assert not first.is_closed
    finally:
        monkeypatch.undo()
        client.close()
        server._session.close()


def test_a_closed_store_can_be_closed_again(tmp_path: Path) -> None:
    settings = Settings(anonymized_telemetry=False)
    store = Store(chromadb.PersistentClient(path=str(tmp_path), settings=settings), "differences-a")
    store.close()
    store.close()
