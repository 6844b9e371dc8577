"""Decide whether a message is about one of the given questions, so that what was learned applies.

It is if it shares enough of its words with one of them, weighted by how distinctive they are, and if
it has every name in that question: "Who is the mayor of London?" shares most words with "Who is the
mayor of Port Ellery?" but is about something else. Pure, with the same result everywhere: no index and
no model is used.

Source of the idea: a scope classifier next to an edited model, Mitchell et al., "Memory-Based Model
Editing at Scale" (2022).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from memory.text.numbers import numbers
from memory.text.stemming import alike, plain, stems, weight

FLOOR = 0.3
"""Minimum share of words. *Measured* on 50 marks of our own with three rephrasings and look-alikes
each: .92 of the rephrasings, .47 of the look-alikes and .05 of unrelated messages are in scope (.65 of
the look-alikes if names are not compared)."""
FLOORS = (FLOOR, 0.5, 0.7)
"""Those that an evaluation tries in turn. *Measured* on the same marks, ten and fifty: .5 includes .93
and .85 of the rephrasings, .40 and .32 of the look-alikes; .7 .57 and .51, .20 and .11."""
NAMED = 0.5
"""Minimum weight of a stem that counts as a name."""
_CAPITAL = re.compile(r"[A-ZА-ЯЁ][\w’'-]*")
_STARTS = re.compile(r"(?:^|[.?!:]\s)\W*$")


@dataclass(frozen=True, slots=True)
class _Question:
    text: str
    words: frozenset[str]
    names: frozenset[str]


class Scope:
    """The questions that lessons were learned for."""

    def __init__(
        self, questions: Iterable[str], floor: float = FLOOR, as_asked: Iterable[str] = ()
    ) -> None:
        """Take the questions, and the minimum share of words (0 to 1) in common with one of them.

        Of the questions `as_asked`, no other wording is in scope.
        """
        self.floor = floor
        self._as_asked = frozenset(map(plain, as_asked))
        self._questions = [
            _Question(plain(text), frozenset(stems(text)), _names(text))
            for text in dict.fromkeys(questions)
            if text.strip()
        ]

    def includes(self, message: str) -> bool:
        """Whether `message` is about one of the questions."""
        if not message.strip():
            return False
        text, words = plain(message), frozenset(stems(message))
        if text in self._as_asked:
            return True
        ours = numbers(text)
        for question in self._questions:
            if question.text == text:
                return True
            if not all(_has(words, name) for name in question.names):
                continue
            if ours.differ(numbers(question.text)):
                continue
            if _shared(words, question.words) >= self.floor:
                return True
        return False


def _names(text: str) -> frozenset[str]:
    """Return the stems of the capitalised words that do not begin a sentence."""
    found: set[str] = set()
    for match in _CAPITAL.finditer(text):
        if not _STARTS.search(text[: match.start()]):
            # `stems` returns stop words only if nothing else is left; the marker tells them apart.
            found.update(stem for stem in stems(f"{match[0]} zzmarker") if weight(stem) >= NAMED)
    return frozenset(found - {"zzmarker"})


def _shared(ours: frozenset[str], theirs: frozenset[str]) -> float:
    """Return the geometric mean of the shares of both sides' weighted words that the other has."""
    shares = [
        sum(weight(word) for word in some if _has(others, word))
        / (sum(weight(word) for word in some) or 1.0)
        for some, others in ((ours, theirs), (theirs, ours))
    ]
    return float((shares[0] * shares[1]) ** 0.5)


def _has(words: frozenset[str], stem: str) -> bool:
    return stem in words or _like_one(words, stem)


@lru_cache(maxsize=1 << 14)
def _like_one(words: frozenset[str], stem: str) -> bool:
    # A common word is not a typo of a rare one.
    return weight(stem) == 1 and any(alike(stem, word) for word in words if weight(word) == 1)
