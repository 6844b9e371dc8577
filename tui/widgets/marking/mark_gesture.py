"""Marking by gesture: what keys say of a reply, and where a selection stands in its source text.

Knows nothing of Textual. `Steps` are the answers given so far; `Passage` is a part of a reply chosen
word by word; `in_source` finds what was selected on the screen, where Markdown's signs are not shown,
in the text that the model wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from memory.difference import Moment
from memory.kinds import Kind
from memory.marks import MarkRequest
from memory.moments import default_moment

MOMENTS: Mapping[str, Moment] = {"e": Moment.ERROR, "s": Moment.SURPRISE, "h": Moment.HOLD}
"""The letter that says why a reply is marked."""
DIGITS = "1234567890"
_WORD = re.compile(r"\w+(?:['’.,-]\w+)*|[^\w\s]+")


@dataclass(frozen=True, slots=True)
class Steps:
    """What was said of a mark so far: family, then type, then words. `step` counts from 0 to 2."""

    kinds: Sequence[Kind]
    step: int = 0
    moment: Moment | None = None
    family: Kind | None = None
    type: Kind | None = None

    @property
    def offers(self) -> list[tuple[str, Kind]]:
        """The digits of this step and what each stands for; at most ten."""
        if self.step == 0:
            found = [kind for kind in self.kinds if not kind.type]
        elif self.step == 1 and self.family is not None:
            found = [kind for kind in self.kinds if kind.type and kind.family == self.family.family]
        else:
            found = []
        return list(zip(DIGITS, found, strict=False))

    @property
    def kind(self) -> Kind | None:
        """The kind as far as it was said."""
        return self.type or self.family

    def press(self, key: str) -> Steps | None:
        """Return what a digit or the letter of a moment makes of it; None if it means nothing here."""
        if moment := MOMENTS.get(key):
            return replace(self, moment=None if self.moment is moment else moment)
        chosen = dict(self.offers).get(key)
        if chosen is None:
            return None
        if self.step == 0:
            after = replace(self, step=1, family=chosen)
            return after if after.offers else replace(after, step=2)
        return replace(self, step=2, type=chosen)

    def skip(self) -> Steps:
        """Go on without an answer; without a family there is no type to ask for."""
        return replace(self, step=2)

    def back(self) -> Steps:
        """Take the last answer back."""
        if self.step == 2 and self.family is not None:
            return replace(self, step=1, type=None)
        return replace(self, step=0, family=None, type=None)

    def request(self, note: str, sounds: str) -> MarkRequest:
        """Return the mark that was chosen; without a moment it follows from the rest."""
        of_kind = self.kind.moment if self.kind else None
        moment = self.moment or default_moment(sounds=sounds, note=note, of_kind=of_kind)
        return MarkRequest(
            moment,
            kind=self.kind.name if self.kind else None,
            note=note or None,
            sounds=sounds or None,
        )


@dataclass(frozen=True, slots=True)
class Passage:
    """Words of a text chosen by keys: from the word `anchor` to the word `at`, both included."""

    text: str
    words: tuple[tuple[int, int], ...] = field(repr=False)
    anchor: int = 0
    at: int = 0
    growing: bool = False

    @classmethod
    def of(cls, text: str) -> Passage | None:
        """Begin at the first word; None where there is no word."""
        words = tuple(found.span() for found in _WORD.finditer(text))
        return cls(text, words) if words else None

    @property
    def span(self) -> tuple[int, int]:
        """The chosen part as offsets in characters."""
        first, last = sorted((self.anchor, self.at))
        return self.words[first][0], self.words[last][1]

    def move(self, step: int, *, grow: bool = False) -> Passage:
        """Go on by `step` words; a growing choice keeps where it began."""
        return self._to(self.at + step, grow)

    def line(self, step: int, *, grow: bool = False) -> Passage:
        """Go to the word at about the same place of the line before or after."""
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
        """Begin to grow from here, or stop growing."""
        return replace(self, growing=not self.growing)

    def _to(self, word: int, grow: bool) -> Passage:
        at = max(0, min(len(self.words) - 1, word))
        grow = grow or self.growing
        return replace(self, at=at, anchor=self.anchor if grow else at)


def aligned(source: str, shown: str) -> list[int | None]:
    """Return, for each character of `shown`, its place in `source`; None where it has none.

    What is shown is the source with signs left out (`**`, `](…)`, the spaces of a list) and white
    space made narrow. Runs of equal text are matched from the longest on, so that letters are never
    taken from a link's address while the word itself is there.
    """
    from difflib import SequenceMatcher

    places: list[int | None] = [None] * len(shown)
    blank = str.maketrans("\n\t\xa0", "   ")
    matcher = SequenceMatcher(None, source.translate(blank), shown.translate(blank), autojunk=False)
    for in_source, in_shown, size in matcher.get_matching_blocks():
        for offset in range(size):
            places[in_shown + offset] = in_source + offset
    return places


def in_source(source: str, shown: str, start: int, end: int) -> tuple[int, int] | None:
    """Return where in `source` the part `shown[start:end]` stands; None where it cannot be told.

    Blank ends are left out. Signs within the part come along, those around it do not.
    """
    while start < end and shown[start].isspace():
        start += 1
    while end > start and shown[end - 1].isspace():
        end -= 1
    if start >= end:
        return None
    places = aligned(source, shown)
    first, last = places[start], places[end - 1]
    if first is None or last is None or last < first:
        return None
    known = sum(place is not None for place in places[start:end])
    return (first, last + 1) if known * 10 >= (end - start) * 9 else None
