"""What recall leaves to the current adapter.

An adapter answers a learned question as it was asked, in every context that its evaluation tried, so a
block that repeats the answer costs tokens and brings nothing. Other wordings of the question are
answered by most adapters, not by all: there recall stays. (*Measured* on the starter with ten marks:
held-out wordings right .90 by the adapter alone, 1.00 with recall beside it; see RESULTS.md.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from memory.difference import Difference
from memory.text.stemming import plain


@dataclass(frozen=True, slots=True)
class Learned:
    """The differences that an adapter answers without recall.

    Both map ids to fingerprints: a difference that was edited since is recalled. `answered` are left
    out where the message has the words of their question, `replaced` (older ones, which a newer one
    corrects) always.
    """

    answered: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, holds: Mapping[str, str], taught: Iterable[str]) -> Learned:
        """Return the split of `Manifest.holds`: those among `taught`, and the rest as replaced."""
        known = set(taught)
        answered = {key: value for key, value in holds.items() if key in known}
        return cls(answered, {key: holds[key] for key in holds.keys() - answered.keys()})

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.answered or self.replaced)

    def leaves_out(self, difference: Difference, message: str) -> bool:
        """Whether `difference` is not recalled for `message`."""
        if difference.pinned:
            return False
        if self.replaced.get(difference.id) == difference.fingerprint:
            return True
        known = self.answered.get(difference.id) == difference.fingerprint
        return known and plain(difference.asked) == plain(message)


NOTHING_LEARNED = Learned()
"""For the base alone."""
