"""The name that Textual gives to a character's key."""

from __future__ import annotations

from textual.keys import _character_to_key


def key_name(character: str) -> str:
    """Return the key of a character: `slash` for `/`, `d` for `d`."""
    return _character_to_key(character)
