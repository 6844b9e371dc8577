"""The texts of the threads of `sessions_process`, each with a unique word to search for."""

from __future__ import annotations

TURNS = 3


def word(number: int) -> str:
    """Return a word that is in no other thread."""
    return f"zq{number:07d}x"
