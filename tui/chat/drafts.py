"""Unsent messages: kept when a chat ends, restored by the next one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from memory.errors import DiscernError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tui.terminal.editor import abandoned_drafts
from tui.terminal.printing import echo


def restore_draft(home: Home, journal: Journal) -> str | None:
    """Return the latest unsent message of an earlier chat, and remove it from the journal."""
    for text in abandoned_drafts(home):
        journal.drafts.add(text)
    return journal.drafts.pop()


def keep_drafts(home: Home, journal: Journal | None, texts: Iterable[str]) -> None:
    """Store unsent messages; print the last one if that fails.

    Opens the journal of the home if `journal` is None.
    """
    if written := [text for text in texts if text.strip()]:
        try:
            with ExitStack() as stack:
                kept_in = journal or stack.enter_context(Journal(home.journal))
                for text in written:
                    kept_in.drafts.add(text)
        except DiscernError as error:
            said = f"could not save the unsent message ({error}):\n"
            echo(f"discern: {said}{written[-1]}", err=True)
