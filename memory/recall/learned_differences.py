"""What recall leaves to the current adapter.

At the start of a thread, an adapter answers a learned question exactly as its evaluation asked it, so
nothing that it has learned is recalled then: the block would cost tokens, and what it says of similar
questions can spoil the answer. It also leaves look-alikes as they were, which a block would undo. Two
kinds of messages most adapters answer and some do not, so it is still recalled for them: those with the
very words of a learned question in another frame or order, and the learned question after other
exchanges or below marks about every reply, of which an evaluation can try only a few (see `continued`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from memory.difference import Difference
from memory.recall.adapter_scope import FLOOR, Scope
from memory.text.stemming import plain

SAME_WORDS = 0.95
"""Share of the words (see `memory/recall/adapter_scope.py`) from which a message is another wording
of a learned question. *Measured* on the starter with ten marks, two seeds: held-out wordings right .90
and .95 by the adapter alone, 1.00 from .95 on; of 275 and 263 look-alikes, 4 and 2 get another answer
(2 and 1 without any recall, 9 and 7 from .9 on, 87 and 50 if all that is relevant is recalled)."""


@dataclass(frozen=True, slots=True)
class Learned:
    """The differences that an adapter answers without recall.

    The first two map ids to fingerprints: a difference that was edited since is recalled, and so is a
    pinned one. `answered` are left out where the message is one of `questions` (see `digest`) or no
    other wording of theirs; `replaced` (older ones, which a newer one corrects) always. Where the
    adapter answers only messages from `floor` on (see `Scope`; 0 for all messages), messages related
    less closely are answered by the base, which needs the difference as before.
    """

    answered: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    questions: frozenset[str] = frozenset()
    floor: float = 0.0

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.answered or self.replaced)

    def continued(self, earlier: bool) -> Learned:
        """Return this for a message with something `earlier` in its prompt, or without.

        After exchanges or other blocks, learned questions are recalled too. *Measured* on the starter
        with three marks of one evening, after 1 to 20 exchanges: see `benchmarks/long_thread.py`. Below
        a mark about every reply, one of four answered right with one nonce of the block of eight.
        """
        return replace(self, questions=frozenset()) if earlier and self.questions else self

    def left_out(self, found: Collection[Difference], message: str) -> set[str]:
        """Return the ids of those of `found` that are not recalled for `message`."""
        learned = _unchanged(found, self.answered)
        if digest(message) not in self.questions:
            learned = [x for x in learned if not self._may_be_unknown(x.asked, message)]
        return {item.id for item in (*learned, *_unchanged(found, self.replaced))}

    def _may_be_unknown(self, asked: str, message: str) -> bool:
        if Scope([asked], SAME_WORDS).includes(message):
            return True
        related = self.floor > FLOOR and Scope([asked]).includes(message)
        return related and not Scope([asked], self.floor).includes(message)


def digest(question: str) -> str:
    """Return what identifies a question in a manifest, which has no text of the user's."""
    return sha256(plain(question).encode("utf-8", "replace")).hexdigest()[:16]


def _unchanged(found: Collection[Difference], known: Mapping[str, str]) -> list[Difference]:
    return [item for item in found if not item.pinned and known.get(item.id) == item.fingerprint]


NOTHING_LEARNED = Learned()
"""For the base alone."""
