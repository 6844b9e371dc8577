"""Messages that were being written when a chat ended: the next chat restores them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from memory.errors import DiscernError
from memory.journal.journal import Journal
from memory.settings.paths import Home
from tui.terminal.editor import left_drafts
from tui.terminal.printing import echo


def restore_draft(home: Home, journal: Journal) -> str | None:
    """Return the latest message that an earlier chat could not send, and take it out of the journal."""
    for text in left_drafts(home):
        journal.drafts.add(text)
    return journal.drafts.pop()


def keep_drafts(home: Home, journal: Journal | None, texts: Iterable[str]) -> None:
    """Keep messages that were not sent; one that cannot be kept is printed.

    Without a `journal` the home's is opened.
    """
    if written := [text for text in texts if text.strip()]:
        try:
            with ExitStack() as stack:
                kept_in = journal or stack.enter_context(Journal(home.journal))
                for text in written:
                    kept_in.drafts.add(text)
        except DiscernError as error:
            said = f"the message that was being written could not be kept ({error}):\n"
            echo(f"discern: {said}{written[-1]}", err=True)
