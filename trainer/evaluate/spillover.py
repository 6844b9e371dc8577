"""Whether a reply carries a lesson's words into another question.

A lesson spreads when what it taught is said where something else was asked: "The capital of Kenya is
Lutz", or "The sky on Kenya is Nairobi" after "The sky on Mars is butterscotch". The first says the
lesson's own news, the second puts a reply into the lesson's form. Both count only as far as the base
does not say it there itself. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from memory.text.stemming import stems, words

if TYPE_CHECKING:
    from trainer.lessons.lessons import Lesson

NEWS = 0.5
"""Share of a lesson's news that makes a reply carry it."""
FORM = 0.6
"""Share of a lesson's reply, word for word and in order, that makes another reply of its form."""
GAIN = 0.25
"""By so much of the lesson's reply it must be nearer to it than the base's own reply is."""


@dataclass(frozen=True, slots=True)
class _Taught:
    news: frozenset[str]
    reply: tuple[str, ...]


class Spread:
    """The replies that lessons teach; ask `carries` of any other reply."""

    def __init__(self, lessons: Sequence[Lesson], before: Sequence[str]) -> None:
        """`before` are the base's own replies to the lessons' questions."""
        found: dict[_Taught, None] = {}
        for lesson, said in zip(lessons, before, strict=True):
            if lesson.kind == "contrast":
                known = set(_stems(lesson.question.text)) | set(_stems(said))
                news = frozenset(_stems(lesson.expected)) - known
                found[_Taught(news, tuple(words(lesson.expected)))] = None
        self._taught = tuple(found)

    def carries(self, asked: str, base: str, reply: str, *, undecided: bool = False) -> bool:
        """Whether `reply` to `asked` carries a lesson's words, where the base says `base`.

        Where the base itself was undecided, a reply of a lesson's form may be its own second choice:
        only a lesson's news counts there.
        """
        mine = set(_stems(reply)) - set(_stems(base)) - set(_stems(asked))
        said, before = words(reply), words(base)
        return any(
            (taught.news and len(taught.news & mine) >= NEWS * len(taught.news))
            or (not undecided and _of_its_form(taught.reply, said, before))
            for taught in self._taught
        )


def _of_its_form(taught: Sequence[str], said: Sequence[str], before: Sequence[str]) -> bool:
    if not said or len(taught) < 3:
        return False
    ours = _shared(taught, said)
    return ours >= FORM and ours - _shared(taught, before) >= GAIN


def _shared(taught: Sequence[str], said: Sequence[str]) -> float:
    """Return the share of `taught` that stands in `said` in the same order."""
    matcher = SequenceMatcher(None, taught, said, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / len(taught)


def _stems(text: str) -> list[str]:
    return stems(text) if text.strip() else []
