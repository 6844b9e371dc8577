"""The dense side of recall: a Chroma collection over the journal.

An index and nothing more: everything in it can be made again from the journal, and is, when it is
missing, damaged, behind or made by another embedder. One process owns the folder under a lock (two
writers lose records without an error); the others are told so by `open_index` returning None and
recall by words alone.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from memory.difference import Difference
from memory.embed import Embedder

BATCH = 500
Progress = Callable[[int, int], None]


class Index:
    """An open index, owned by this process until it is closed."""

    def __init__(self, folder: Path, embedder: Embedder, lock: IO[str]) -> None:
        self._folder = folder
        self._embedder = embedder
        self._lock = lock
        self._client: Any = None
        self._collection: Any = None

    def connect(self) -> None:
        """Open Chroma; a damaged folder is thrown away and begun anew."""
        try:
            self._connect()
        except Exception:  # Chroma raises whatever its Rust side, SQLite or pydantic raise
            from chromadb.api.shared_system_client import SharedSystemClient

            self._client = self._collection = None
            # Chroma keeps its half-opened system by path and would hand out the broken one again.
            SharedSystemClient.clear_system_cache()
            shutil.rmtree(self._folder / "chroma", ignore_errors=True)
            self._connect()

    def _connect(self) -> None:
        import chromadb
        from chromadb.config import Settings

        self._client = chromadb.PersistentClient(
            path=str(self._folder / "chroma"),
            settings=Settings(anonymized_telemetry=False, allow_reset=False),
        )
        self._collection = self._client.get_or_create_collection(
            f"differences-{self._embedder.name}-{self._embedder.size}",
            embedding_function=None,
            metadata={"hnsw:space": "cosine"},
        )
        self._collection.count()

    def sync(self, differences: Sequence[Difference], progress: Progress | None = None) -> int:
        """Make the index hold exactly `differences`; returns how many were added or removed."""
        held = set(self._collection.get(include=[])["ids"])
        wanted = {difference.id: difference for difference in differences}
        gone = sorted(held - wanted.keys())
        missing = [difference for key, difference in wanted.items() if key not in held]
        for start in range(0, len(gone), BATCH):
            self._collection.delete(ids=gone[start : start + BATCH])
        for start in range(0, len(missing), BATCH):
            self.add(missing[start : start + BATCH])
            if progress:
                progress(min(start + BATCH, len(missing)), len(missing))
        return len(gone) + len(missing)

    def add(self, differences: Sequence[Difference]) -> None:
        """Add differences (or replace those with the same id)."""
        if differences:
            vectors = self._embedder.embed([difference.asked for difference in differences])
            self._collection.upsert(ids=[item.id for item in differences], embeddings=vectors)

    def remove(self, identity: str) -> None:
        """Remove one difference; an unknown id is nothing to do."""
        self._collection.delete(ids=[identity])

    def nearest(self, text: str, limit: int) -> list[tuple[str, float]]:
        """Return (id, cosine similarity) of the nearest differences, the nearest first."""
        count = self._collection.count()
        if not count:
            return []
        found = self._collection.query(
            query_embeddings=self._embedder.embed([text]),
            n_results=min(limit, count),
            include=["distances"],
        )
        pairs = zip(found["ids"][0], found["distances"][0], strict=True)
        return [(identity, 1.0 - float(distance)) for identity, distance in pairs]

    def close(self) -> None:
        """Give up the folder; calling it again does nothing."""
        self._collection = None
        if self._client is not None:
            with suppress(Exception):  # closing must not fail; the index can be rebuilt
                self._client.close()
            self._client = None
        self._lock.close()


def open_index(folder: Path, embedder: Embedder) -> Index | None:
    """Return the index in `folder`, or None while another process owns it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "owner.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    index = Index(folder, embedder, lock)
    try:
        index.connect()
    except BaseException:
        index.close()
        raise
    return index
