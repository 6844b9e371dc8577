"""Vectors by id in the memory of this process.

For evaluations, which recall as the chat does without its index: a folder of Chroma has one owner.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


class ArrayStore:
    """The same as `memory.recall.chroma_store.Store`, searched exhaustively and lost on `close`."""

    def __init__(self) -> None:
        self.cursor = ""
        self._rows: dict[str, Vectors] = {}
        self._matrix: tuple[list[str], Vectors] | None = None

    def set_cursor(self, cursor: str) -> None:
        """Store how much of the journal it covers."""
        self.cursor = cursor

    def count(self) -> int:
        """Return how many vectors there are."""
        return len(self._rows)

    def ids(self) -> set[str]:
        """Return every id."""
        return set(self._rows)

    def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add unit vectors, shape [len(ids), size], or replace those with the same id."""
        self._rows.update(zip(ids, vectors, strict=True))
        self._matrix = None

    def delete(self, ids: Sequence[str]) -> None:
        """Remove ids; unknown ones are ignored."""
        for identity in ids:
            self._rows.pop(identity, None)
        self._matrix = None

    def nearest(self, vector: Vectors, limit: int) -> list[tuple[str, float]]:
        """Return (id, cosine similarity) of the nearest to `vector` (shape [size]), nearest first."""
        if not self._rows:
            return []
        if self._matrix is None:
            self._matrix = list(self._rows), np.stack(list(self._rows.values()))
        ids, matrix = self._matrix
        cosines = matrix @ vector
        order = np.argsort(-cosines, kind="stable")[:limit]
        return [(ids[place], float(cosines[place])) for place in order]

    def clear(self) -> None:
        """Remove all vectors."""
        self._rows.clear()
        self._matrix = None

    def close(self) -> None:
        """Free the vectors; calling it again does nothing."""
        self.clear()
