"""Detect lessons that spill over into the answers to other questions.

After the lesson "The sky on Mars is butterscotch", both "Kenya is butterscotch" and "The sky on Kenya
is Nairobi" are spillover: the first repeats the new content of the lesson, the second its form. Both
count only if the base does not answer so itself. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from memory.text.stemming import stems, words

if TYPE_CHECKING:
    from trainer.lessons.lesson import Lesson

NEWS = 0.5
"""Share of the new words of a lesson from which a reply repeats its content."""
SAME_FORM_SHARE = 0.6
"""Share of the words of a lesson's reply, in order, from which another reply has its form."""
MIN_CLOSER_SHARE = 0.25
"""Share of the lesson's reply by which a reply must be closer to it than the base's reply is."""


@dataclass(frozen=True, slots=True)
class Spilled:
    """The id of a difference that spilled over into a reply, with its content or only its form."""

    difference: str
    only_form: bool


@dataclass(frozen=True, slots=True)
class _Taught:
    news: frozenset[str]
    reply: tuple[str, ...]
    difference: str


class Spread:
    """The replies that lessons teach, to compare other replies with."""

    def __init__(self, lessons: Sequence[Lesson], before: Sequence[str]) -> None:
        """Take the lessons and the base's own replies to their questions."""
        found: dict[_Taught, None] = {}
        for lesson, said in zip(lessons, before, strict=True):
            if lesson.kind == "contrast":
                known = set(_stems(lesson.question.text)) | set(_stems(said))
                news = frozenset(_stems(lesson.expected)) - known
                reply = tuple(words(lesson.expected))
                found[_Taught(news, reply, lesson.difference)] = None
        self._taught = tuple(found)

    def source(self, asked: str, base: str, reply: str) -> Spilled | None:
        """Return what spilled over into `reply` to `asked`, if anything; the base says `base`.

        The content of a lesson comes before the form of another.
        """
        mine = set(_stems(reply)) - set(_stems(base)) - set(_stems(asked))
        said, before = words(reply), words(base)
        for taught in self._taught:
            if taught.news and len(taught.news & mine) >= NEWS * len(taught.news):
                return Spilled(taught.difference, only_form=False)
        for taught in self._taught:
            if _of_its_form(taught.reply, said, before):
                return Spilled(taught.difference, only_form=True)
        return None


def _of_its_form(taught: Sequence[str], said: Sequence[str], before: Sequence[str]) -> bool:
    if not said or len(taught) < 3:
        return False
    ours = _shared(taught, said)
    return ours >= SAME_FORM_SHARE and ours - _shared(taught, before) >= MIN_CLOSER_SHARE


def _shared(taught: Sequence[str], said: Sequence[str]) -> float:
    """Return the share of `taught` that occurs in `said` in the same order."""
    matcher = SequenceMatcher(None, taught, said, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / len(taught)


def _stems(text: str) -> list[str]:
    return stems(text) if text.strip() else []
