"""The cache of kinds."""

from __future__ import annotations

from memory import kinds


def clear_kinds_cache() -> None:
    """Clear the cache, so that the user's file is read again."""
    kinds._kinds.cache_clear()
    kinds._names.cache_clear()
