"""Vectors for recall that need no download and treat Russian like English.

`NgramEmbedder` hashes the character n-grams of each stem: it knows only the letters of the words, so
that typos and inflections stay near. The chat model is never used for this: the nightly adapter would
change its vectors.

Source: feature hashing with signs, Weinberger et al., "Feature Hashing for Large Scale Multitask
Learning" (2009); subword n-grams, Bojanowski et al., "Enriching Word Vectors with Subword
Information" (2017).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from memory.text.stemming import stems

Vectors = npt.NDArray[np.float32]
DIMENSIONS = 512


class Embedder(Protocol):
    """Texts → unit vectors, shape [len(texts), size]. `name` and `size` name the collection."""

    name: str
    size: int

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector for each text."""

    def query(self, text: str) -> Vectors:
        """Return the unit vector to search by, shape [size]."""

    def close(self) -> None:
        """Free what it holds."""
        ...


class NgramEmbedder:
    """Signed hashes of the stems' character n-grams of 3 to 5, log-weighted, of unit length."""

    name = "ngram-v2"
    size = DIMENSIONS

    def query(self, text: str) -> Vectors:
        """Return the vector of `text`: queries and stored texts are embedded the same way."""
        return np.asarray(self.embed([text])[0], dtype=np.float32)

    def close(self) -> None:
        """Do nothing: there is nothing to free."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector a text (zeros for a text without words)."""
        return np.array([_vector(text) for text in texts], dtype=np.float32).reshape(-1, DIMENSIONS)


@lru_cache(maxsize=4096)
def _vector(text: str) -> Vectors:
    """Return the vector of one text, cached because the same candidates recur."""
    row = np.zeros(DIMENSIONS, dtype=np.float32)
    codes = [
        zlib.crc32(gram.encode("utf-8", "replace"))
        for stem in stems(text)
        for gram in _grams(f"<{stem}>")
    ]
    if not codes:
        return row
    signed = np.array(codes, dtype=np.uint32)
    np.add.at(row, signed % DIMENSIONS, np.where(signed & 0x8000_0000, 1, -1).astype(np.float32))
    row = np.sign(row) * np.log1p(np.abs(row))
    return np.asarray(row / (np.linalg.norm(row) or 1), dtype=np.float32)


def _grams(word: str) -> list[str]:
    grams = [word[i : i + n] for n in (3, 4, 5) for i in range(len(word) - n + 1)]
    return grams or [word]
