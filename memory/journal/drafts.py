"""Messages that were being written when a chat was ended from outside; the next one has them back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memory.journal.journal import Journal

_FACT = "drafts"


def keep_draft(journal: Journal, text: str) -> None:
    """Keep a message that was not sent."""
    with journal.writing():
        kept = _drafts(journal)
        if text not in kept:
            journal.set_fact(_FACT, json.dumps([*kept, text]))


def take_draft(journal: Journal) -> str | None:
    """Return the message that was kept last, and keep it no longer."""
    if not _drafts(journal):
        return None
    with journal.writing():
        kept = _drafts(journal)
        latest = kept.pop() if kept else None
        journal.set_fact(_FACT, json.dumps(kept))
    return latest


def _drafts(journal: Journal) -> list[str]:
    kept: list[str] = json.loads(journal.fact(_FACT) or "[]")
    return kept
