"""What recall leaves to the current adapter.

An adapter answers a learned question as it was asked, in every context that its evaluation tried, so
nothing that it has learned is recalled then: the block would cost tokens, and what it says of similar
questions can spoil the answer. Other wordings of the question are answered by most adapters, not by
all: there recall stays. (*Measured* on the starter with ten marks: held-out wordings right .90 by the
adapter alone, 1.00 with recall beside it. With fifty, and similar questions recalled for a question as
it was asked, .87 of the lessons instead of 1.00. See RESULTS.md.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from memory.difference import Difference
from memory.text.stemming import plain, stems


@dataclass(frozen=True, slots=True)
class Learned:
    """The differences that an adapter answers without recall.

    The first two map ids to fingerprints: a difference that was edited since is recalled, and so is a
    pinned one. `answered` are left out where the message is one of `questions` (see `digest`), or does
    not have their names (see `names_of`); `replaced` (older ones, which a newer one corrects) always.
    """

    answered: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    questions: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.answered or self.replaced)

    def left_out(self, found: Collection[Difference], message: str) -> set[str]:
        """Return the ids of those of `found` that are not recalled for `message`."""
        learned = _unchanged(found, self.answered)
        if digest(message) not in self.questions:
            said = set(stems(message))
            learned = [item for item in learned if not names_of(item.asked) <= said]
        return {item.id for item in (*learned, *_unchanged(found, self.replaced))}


def names_of(question: str) -> set[str]:
    """Return the stems of the capitalised words of a question, without its first word.

    A question without them is about something else: "What colour is the sky?" is no wording of "What
    colour is the sky on Mars?".
    """
    capitalised = {s for word in question.split()[1:] if word[:1].isupper() for s in stems(word)}
    return capitalised & set(stems(question))  # "The" alone is a stem, in a sentence it is none


def digest(question: str) -> str:
    """Return what identifies a question in a manifest, which has no text of the user's."""
    return sha256(plain(question).encode("utf-8", "replace")).hexdigest()[:16]


def _unchanged(found: Collection[Difference], known: Mapping[str, str]) -> list[Difference]:
    return [item for item in found if not item.pinned and known.get(item.id) == item.fingerprint]


NOTHING_LEARNED = Learned()
"""For the base alone."""
