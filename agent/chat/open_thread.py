"""The thread that a conversation is in: going on in another, a new one, renaming, deleting, following.

What is known of a thread is a turn of it, and a turn knows its thread; so a rename or a deletion by
another process is found by the next message. A conversation is at the turn that was shown or spoken
here last, whatever another process says in the thread meanwhile: that one is marked, and the next
message follows it.
"""

from __future__ import annotations

import threading

from agent.chat.sessions import Deleted, delete, rename
from memory.difference import Turn, now
from memory.errors import ThreadError
from memory.i18n.i18n import tr
from memory.journal.threads import thread_name
from memory.memory import Memory
from memory.settings.settings import Home


class OpenThread:
    """The part of `agent.chat.chat.Chat` that knows where it speaks."""

    def __init__(self, home: Home, memory: Memory) -> None:
        self.home, self.memory, self.journal = home, memory, memory.journal
        self.thread = ""
        self.at: str | None = None
        """The turn that was shown or spoken here last ("": there was none yet); None until one was, and
        then it is the one at which the thread stands."""
        self._stands = ""
        """A turn of this thread, by which it is found when it is renamed elsewhere."""
        self._told = ""
        """The turn of another process that was told of last."""
        self._busy = threading.Lock()
        """Held while a reply is written."""

    @property
    def follows(self) -> str:
        """The id of the turn that the next message follows, "" where it begins its thread."""
        return self.journal.head(self.thread) if self.at is None else self.at

    def turns(self) -> list[Turn]:
        """Return the turns of this conversation, oldest first, as the next message follows them."""
        return self.journal.branch_up_to(self.follows)

    def switch(self, thread: str) -> None:
        """Go on in another thread (made when it is first spoken in).

        Raises:
            ThreadError: the name is empty, too long or has control characters.
        """
        self._go_to(thread_name(thread))

    def fresh(self) -> str:
        """Begin a new thread and return its name, made of the local date and a number."""
        taken = {name for name, _turns, _at in self.journal.threads()}
        day = now().astimezone().strftime("%Y-%m-%d")
        number = next(n for n in range(1, len(taken) + 2) if f"{day} {n}" not in taken)
        self._go_to(f"{day} {number}")
        return self.thread

    def _go_to(self, thread: str) -> None:
        self.thread, self._stands = thread, self.journal.head(thread)
        self.at = None

    def rename_thread(self, old: str, new: str) -> str:
        """Give a thread another name; returns the name it has now.

        Raises:
            UnknownIdError, ThreadError: see `agent.chat.sessions.rename`; or a reply is written there.
        """
        self._refuse_while_speaking(old)
        name = rename(self.home, self.journal, old, new)
        if old == self.thread:
            at = self.at
            self._go_to(name)
            self.at = at
        return name

    def delete_thread(self, thread: str) -> Deleted:
        """Delete a thread; from the open one it goes on in the latest other, or in a fresh one.

        Raises:
            UnknownIdError, ThreadError: see `agent.chat.sessions.delete`; or a reply is written there.
        """
        self._refuse_while_speaking(thread)
        gone = delete(self.home, self.memory, thread)
        if thread == self.thread:
            left = self.journal.threads()
            if left:
                self._go_to(left[0][0])
            else:
                self.fresh()
        return gone

    def _refuse_while_speaking(self, thread: str) -> None:
        if thread == self.thread and self._busy.locked():
            raise ThreadError("a reply is still being written in this thread; stop it first")

    def follow(self) -> str | None:
        """Heed that another process renamed or deleted this thread; a sentence when it did.

        Call it between turns. What is known of a thread is a turn of it, and a turn knows its thread.
        """
        known = self.at or self._stands
        now_in = self.journal.thread_of(known) if known else self.thread
        old = self.thread
        if now_in == old or (not now_in and self.journal.head(old)):
            self._stands = self.journal.head(old)
            if self.at and not now_in:
                self.at = None
                return tr("The last reply shown here was forgotten elsewhere.")
            return None
        at = self.at
        self._go_to(now_in or old)
        if now_in:
            self.at = at
            return tr("This thread is called {name} now.", name=repr(now_in))
        return tr("This thread was deleted elsewhere; what you say next begins it anew.")

    def continued(self) -> str | None:
        """Say, once for each new turn, that another process went on in this thread; else None."""
        head = self.journal.head(self.thread)
        if self.at is None or head in (self.at, self._told):
            return None
        self._told = head
        return tr(
            "This thread was continued elsewhere. Your next message follows the reply shown here; "
            "`/thread {name}` shows the newer ones.",
            name=self.thread,
        )
