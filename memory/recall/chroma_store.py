"""One Chroma collection of vectors by id, in a folder of our own or on a server.

The only module that uses Chroma. The collection's name contains what its vectors were made by, so that
another embedder uses another collection. Its metadata holds a cursor, from which the index knows how
much of the journal it covers. Chroma is never given text: it holds ids and vectors only.
"""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from memory.errors import HomeError
from memory.settings.paths import Home

PREFIX = "differences-"
SERVER_TIMEOUT_SECONDS = 5.0
"""How long a server may take to answer."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Half of Chroma's defaults: a third of the build time; recall ranks the 24 neighbours again anyway.
_HNSW = {"space": "cosine", "ef_construction": 64, "max_neighbors": 12, "ef_search": 64}

Vectors = npt.NDArray[np.float32]


def collection_name(*parts: object) -> str:
    """Return a valid collection name that is different for different parts."""
    said = "-".join(re.sub(r"[^a-zA-Z0-9._]+", "_", str(part)) for part in parts)
    return (PREFIX + said)[:200].rstrip("-._")


class Store:
    """An open collection; its calls may come from several threads."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name
        self._collection: Any = None
        self._begin()

    def _begin(self) -> None:
        self._collection = self._client.get_or_create_collection(
            self._name, embedding_function=None, configuration={"hnsw": dict(_HNSW)}
        )

    @property
    def cursor(self) -> str:
        """What `set_cursor` last stored, in any process; "" if nothing was."""
        metadata = self._client.get_collection(self._name, embedding_function=None).metadata
        return str((metadata or {}).get("mark", ""))

    def set_cursor(self, cursor: str) -> None:
        """Store how much of the journal the collection covers."""
        self._collection.modify(metadata={"mark": cursor})

    def count(self) -> int:
        """Return how many vectors there are."""
        return int(self._collection.count())

    def ids(self) -> set[str]:
        """Return every id."""
        return set(self._collection.get(include=[])["ids"])

    def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add vectors, or replace those with the same id."""
        self._collection.upsert(ids=list(ids), embeddings=vectors)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove ids; unknown ones are ignored."""
        self._collection.delete(ids=list(ids))

    def nearest(self, vector: Vectors, limit: int) -> list[tuple[str, float]]:
        """Return (id, cosine similarity) of the nearest to `vector` (shape [size]), nearest first."""
        found = self._collection.query(
            query_embeddings=vector[np.newaxis], n_results=limit, include=["distances"]
        )
        pairs = zip(found["ids"][0], found["distances"][0], strict=True)
        return [(identity, 1.0 - float(distance)) for identity, distance in pairs]

    def clear(self) -> None:
        """Remove all vectors."""
        self._client.delete_collection(self._name)
        self._begin()

    def drop_others(self) -> None:
        """Remove collections of Discern that other embedders made."""
        for other in self._client.list_collections():
            if other.name.startswith(PREFIX) and other.name != self._name:
                self._client.delete_collection(other.name)

    def close(self) -> None:
        """Close the client; calling it again does nothing."""
        self._collection = None
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):  # closing must not fail; the index can be built again
                sessions = http_sessions(client)
                client.close()
                for session in sessions:  # Chroma leaves its connections open
                    session.close()


def open_folder(home: Home, folder: Path, name: str) -> Store:
    """Open or create the collection in `folder`; a damaged folder is deleted and created again.

    Raises:
        HomeError: it is damaged and is outside the home, behind a link.
    """
    try:
        return _sound(folder, name)
    except Exception:  # Chroma raises whatever its Rust side, SQLite or pydantic raise
        from chromadb.api.shared_system_client import SharedSystemClient

        # Chroma caches its half-opened system by path and would return the broken one again.
        SharedSystemClient.clear_system_cache()
        if not home.holds(folder):
            raise HomeError(
                "the index {folder} is damaged and is outside the Discern home folder, behind a "
                "link; remove the link, or delete that folder yourself",
                folder=folder,
            ) from None
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        else:  # `rmtree` would wait for a pipe
            folder.unlink(missing_ok=True)
        return _sound(folder, name)


def _sound(folder: Path, name: str) -> Store:
    import chromadb

    store = Store(chromadb.PersistentClient(path=str(folder), settings=_settings()), name)
    count = store.count()
    size = (store._collection.get(limit=1, include=["embeddings"]))["embeddings"]
    # The vectors' file may be lost while the list of ids is intact: one query tells.
    if count and not store.nearest(np.asarray(size[0], dtype=np.float32), 1):
        raise HomeError("the vectors in {folder} are missing; rebuilding them", folder=folder)
    store.drop_others()
    return store


def open_server(url: str, name: str, token: str = "") -> Store:
    """Open or create the collection on the Chroma server at `url`.

    `token` is sent as a bearer token to that server only, and only over https or within this machine.

    Raises:
        HomeError: it cannot be reached, or the token would be sent unencrypted.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 8000)
    if token and not secure and host not in _LOOPBACK:
        raise HomeError("the token for {url} would be sent unencrypted; use https", url=url)
    headers: Mapping[str, str] = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        # Chroma's client waits forever for a host that does not answer.
        socket.create_connection((host, port), timeout=SERVER_TIMEOUT_SECONDS).close()
        import chromadb

        client = chromadb.HttpClient(
            host=host, port=port, ssl=secure, headers=dict(headers), settings=_settings()
        )
        for session in http_sessions(client):
            session.timeout = SERVER_TIMEOUT_SECONDS
        return Store(client, name)
    except Exception as error:  # sockets, TLS, HTTP and Chroma each raise their own
        said = str(error).strip().split("\n")[0][:160] or type(error).__name__
        raise HomeError(
            "cannot use the Chroma server {url}: {error}",
            url=url,
            error=said.replace(token, "…") if token else said,
        ) from None


def http_sessions(client: Any) -> list[Any]:
    """Return the HTTP sessions of a client of a Chroma server; none for a folder.

    Chroma has no public way to set their timeout or to close them. These are the only private names of
    Chroma that are used; the test of this module fails when its version changes.
    """
    servers = [one._server for one in (client, client._admin_client)]
    return [server._session for server in servers if hasattr(server, "_session")]


def _settings() -> Any:
    from chromadb.config import Settings

    return Settings(anonymized_telemetry=False, allow_reset=False)
