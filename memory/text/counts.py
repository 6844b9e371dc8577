"""Numbers with their English noun, for text that is not translated."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return "1 mark", "2 marks" and so on; `plural` is that of an irregular noun."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
