"""Marking by keys and selection, independent of Textual.

`MarkGesture` holds the answers so far; `Passage` is a part of a reply selected word by word;
`find_in_source` maps a selection on the screen, where Markdown syntax is hidden, to the reply's source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from memory.difference import MarkScope, Moment
from memory.kinds import Kind
from memory.mark_validation import MarkRequest
from memory.moments import default_moment

MOMENTS: Mapping[str, Moment] = {"e": Moment.ERROR, "s": Moment.SURPRISE, "h": Moment.HOLD}
"""The letter that says why a reply is marked."""
SCOPE_KEY = "w"
SCOPES = (MarkScope.HERE, MarkScope.TOPIC, MarkScope.EVERYWHERE)
"""The key that changes which replies a mark is about, and what it changes through. A scope with a
condition is typed: `/diff … when: …`."""
DIGITS = "1234567890"
_WORD = re.compile(r"\w+(?:['’.,-]\w+)*|[^\w\s]+")


@dataclass(frozen=True, slots=True)
class MarkGesture:
    """The answers so far: family, then type, then texts. `step` counts from 0 to 2."""

    kinds: Sequence[Kind]
    step: int = 0
    moment: Moment | None = None
    family: Kind | None = None
    type: Kind | None = None
    scope: MarkScope = MarkScope.HERE

    @property
    def offers(self) -> list[tuple[str, Kind]]:
        """The digits of this step and their kinds; at most ten."""
        if self.step == 0:
            found = [kind for kind in self.kinds if not kind.type]
        elif self.step == 1 and self.family is not None:
            found = [kind for kind in self.kinds if kind.type and kind.family == self.family.family]
        else:
            found = []
        return list(zip(DIGITS, found, strict=False))

    @property
    def kind(self) -> Kind | None:
        """The kind chosen so far."""
        return self.type or self.family

    def press(self, key: str) -> MarkGesture | None:
        """Return the gesture after a digit, a moment's letter or the scope's; None for other keys."""
        if key == SCOPE_KEY:
            return replace(self, scope=SCOPES[(SCOPES.index(self.scope) + 1) % len(SCOPES)])
        if moment := MOMENTS.get(key):
            return replace(self, moment=None if self.moment is moment else moment)
        chosen = dict(self.offers).get(key)
        if chosen is None:
            return None
        if self.step == 0:
            after = replace(self, step=1, family=chosen)
            return after if after.offers else replace(after, step=2)
        return replace(self, step=2, type=chosen)

    def skip(self) -> MarkGesture:
        """Return the gesture without a further answer; without a family there is no type to choose."""
        return replace(self, step=2)

    def back(self) -> MarkGesture:
        """Return the gesture before the last answer."""
        if self.step == 2 and self.family is not None:
            return replace(self, step=1, type=None)
        return replace(self, step=0, family=None, type=None)

    def request(self, note: str, sounds: str) -> MarkRequest:
        """Return the chosen mark; if no moment was chosen, it is derived from the rest."""
        of_kind = self.kind.moment if self.kind else None
        moment = self.moment or default_moment(sounds=sounds, note=note, of_kind=of_kind)
        return MarkRequest(
            moment,
            kind=self.kind.name if self.kind else None,
            note=note or None,
            sounds=sounds or None,
            scope=None if self.scope is MarkScope.HERE else self.scope,
        )


@dataclass(frozen=True, slots=True)
class Passage:
    """A range of words: from the word `anchor` to the word `at`, both included."""

    text: str
    words: tuple[tuple[int, int], ...] = field(repr=False)
    anchor: int = 0
    at: int = 0
    growing: bool = False

    @classmethod
    def of(cls, text: str) -> Passage | None:
        """Return the first word of a text; None if it has none."""
        words = tuple(found.span() for found in _WORD.finditer(text))
        return cls(text, words) if words else None

    @property
    def span(self) -> tuple[int, int]:
        """The range as offsets in characters."""
        first, last = sorted((self.anchor, self.at))
        return self.words[first][0], self.words[last][1]

    def move(self, step: int, *, grow: bool = False) -> Passage:
        """Move by `step` words; a growing range keeps its anchor."""
        return self._to(self.at + step, grow)

    def line(self, step: int, *, grow: bool = False) -> Passage:
        """Move to the word at about the same column of the line before or after."""
        start = self.words[self.at][0]
        began = self.text.rfind("\n", 0, start) + 1
        if step < 0:
            if began == 0:
                return self._to(0, grow)
            above = self.text.rfind("\n", 0, began - 1) + 1
            wanted = min(above + start - began, began - 1)
        else:
            end = self.text.find("\n", start)
            if end < 0:
                return self._to(len(self.words) - 1, grow)
            wanted = end + 1 + start - began
            below = self.text.find("\n", end + 1)
            wanted = min(wanted, below if below >= 0 else len(self.text))
        nearest = min(range(len(self.words)), key=lambda word: abs(self.words[word][0] - wanted))
        if (nearest - self.at) * step <= 0:  # an empty line holds no word
            nearest = self.at + step
        return self._to(nearest, grow)

    def toggle(self) -> Passage:
        """Start or stop growing."""
        return replace(self, growing=not self.growing)

    def _to(self, word: int, grow: bool) -> Passage:
        at = max(0, min(len(self.words) - 1, word))
        grow = grow or self.growing
        return replace(self, at=at, anchor=self.anchor if grow else at)


def align(source: str, shown: str) -> list[int | None]:
    """Return the offset in `source` of each character of `shown`; None where it has none.

    `shown` is `source` without signs (`**`, `](…)`, the spaces of a list) and with white space
    collapsed. The longest equal runs are matched first, so that a word is not matched to the letters of
    a link's address.
    """
    from difflib import SequenceMatcher

    places: list[int | None] = [None] * len(shown)
    blank = str.maketrans("\n\t\xa0", "   ")
    matcher = SequenceMatcher(None, source.translate(blank), shown.translate(blank), autojunk=False)
    for at_source, at_shown, size in matcher.get_matching_blocks():
        for offset in range(size):
            places[at_shown + offset] = at_source + offset
    return places


def find_in_source(source: str, shown: str, start: int, end: int) -> tuple[int, int] | None:
    """Return where `shown[start:end]` is in `source`; None if that is ambiguous.

    Blank ends are left out. Signs within the part are included, those around it are not.
    """
    while start < end and shown[start].isspace():
        start += 1
    while end > start and shown[end - 1].isspace():
        end -= 1
    if start >= end:
        return None
    places = align(source, shown)
    first, last = places[start], places[end - 1]
    if first is None or last is None or last < first:
        return None
    known = sum(place is not None for place in places[start:end])
    return (first, last + 1) if known * 10 >= (end - start) * 9 else None
