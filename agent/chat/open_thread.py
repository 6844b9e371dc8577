"""The thread that a conversation is in, and its position there.

The thread is tracked by the id of one of its turns, and a turn knows its thread, so that a rename or a
deletion by another process is noticed. The position is the last turn that was shown or added here,
whatever another process adds to the thread meanwhile: that turn is marked, and the next message
follows it.
"""

from __future__ import annotations

import threading

from agent.chat.sessions import Deleted, delete, rename
from memory.difference import Turn, now
from memory.errors import ThreadError
from memory.i18n.interface_language import tr
from memory.journal.tables.threads import thread_name
from memory.memory import Memory
from memory.settings.paths import Home


class OpenThread:
    """The open thread of one chat: `name`, and the `position` in it."""

    def __init__(self, home: Home, memory: Memory, busy: threading.Lock) -> None:
        """`busy` is held while a reply is written."""
        self._home, self._memory, self._busy = home, memory, busy
        self.name = ""
        self.position: str | None = None
        """The id of the turn that was shown or added here last; "" when the thread was empty then, None
        before anything was shown, which means the latest turn."""
        self._known = ""
        """A turn of this thread, by which it is found when another process renames it."""
        self._reported = ""
        """The turn of another process that was reported last."""

    @property
    def next_parent(self) -> str:
        """The id of the turn that the next message follows; "" for the first message of a thread."""
        return (
            self._memory.journal.turns.head(self.name) if self.position is None else self.position
        )

    def turns(self) -> list[Turn]:
        """Return the turns that the next message follows, the oldest first."""
        return self._memory.journal.branches.up_to(self.next_parent)

    # --- choosing a thread -------------------------------------------------------------------

    def switch(self, name: str) -> None:
        """Continue in another thread, which is created with its first turn.

        Raises:
            ThreadError: the name is empty, too long or has control characters.
        """
        self._open(thread_name(name))

    def start_new(self) -> str:
        """Start a new thread and return its name: the local date and a number."""
        taken = {name for name, _turns, _at in self._memory.journal.threads.all()}
        day = now().astimezone().strftime("%Y-%m-%d")
        number = next(n for n in range(1, len(taken) + 2) if f"{day} {n}" not in taken)
        self._open(f"{day} {number}")
        return self.name

    def _open(self, name: str) -> None:
        self.name, self._known = name, self._memory.journal.turns.head(name)
        self.position = None

    # --- moving within it --------------------------------------------------------------------

    def advance(self, turn: str) -> str:
        """Move to a turn that was just recorded; return the name of its thread."""
        self._known = self.position = turn
        return self._memory.journal.threads.of_turn(turn)

    def leave_forgotten(self, turn: str, parent: str) -> None:
        """Move to `parent` when `turn` was the position and was forgotten with its difference."""
        journal = self._memory.journal
        self._known = journal.turns.head(self.name)
        if self.position == turn and not journal.threads.of_turn(turn):
            self.position = parent

    # --- renaming and deleting ---------------------------------------------------------------

    def rename(self, old: str, new: str) -> str:
        """Rename a thread, this one or another; return the name it has now.

        Raises:
            UnknownIdError, ThreadError: see `agent.chat.sessions.rename`; or a reply is written there.
        """
        self._require_idle(old)
        name = rename(self._home, self._memory.journal, old, new)
        if old == self.name:
            self._follow(name)
        return name

    def delete(self, name: str) -> Deleted:
        """Delete a thread; after this one the latest other thread is opened, or a new one.

        Raises:
            UnknownIdError, ThreadError: see `agent.chat.sessions.delete`; or a reply is written there.
        """
        self._require_idle(name)
        deleted = delete(self._home, self._memory, name)
        if name == self.name:
            left = self._memory.journal.threads.all()
            if left:
                self._open(left[0][0])
            else:
                self.start_new()
        return deleted

    def _follow(self, name: str) -> None:
        position = self.position
        self._open(name)
        self.position = position

    def _require_idle(self, name: str) -> None:
        if name == self.name and self._busy.locked():
            raise ThreadError("a reply is still being generated in this thread; stop it first")

    # --- what other processes do -------------------------------------------------------------

    def sync(self) -> str | None:
        """Follow a rename or deletion by another process; return a sentence if there was one.

        Call it between turns.
        """
        journal = self._memory.journal
        known = self.position or self._known
        now_in = journal.threads.of_turn(known) if known else self.name
        old = self.name
        if now_in == old or (not now_in and journal.turns.head(old)):
            self._known = journal.turns.head(old)
            if self.position and not now_in:
                self.position = None
                return tr("The last reply shown here was forgotten elsewhere.")
            return None
        if now_in:
            self._follow(now_in)
            return tr("This thread was renamed to {name}.", name=repr(now_in))
        self._open(old)
        return tr("This thread was deleted elsewhere; your next message starts it again.")

    def continued_elsewhere(self) -> str | None:
        """Return a sentence, once for each new turn, when another process continued this thread."""
        head = self._memory.journal.turns.head(self.name)
        if self.position is None or head in (self.position, self._reported):
            return None
        self._reported = head
        return tr(
            "This thread was continued elsewhere. Your next message follows the reply shown here; "
            "`/thread {name}` shows the newer replies.",
            name=self.name,
        )
