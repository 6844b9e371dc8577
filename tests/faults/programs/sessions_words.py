"""What the threads of `sessions_process` say: each a word of its own, that can be looked for."""

from __future__ import annotations

TURNS = 3


def word(number: int) -> str:
    """Return a word that stands in no other thread."""
    return f"zq{number:07d}x"
