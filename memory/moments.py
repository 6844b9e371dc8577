"""The names of the moments, and which one a misspelt word means.

A word that is almost a moment is rejected even where a note would be valid; otherwise a mark that was
meant as an error would silently be stored as a surprise.
"""

from __future__ import annotations

import re

from memory.difference import Moment
from memory.errors import MarkError
from memory.sentence import Sentence
from memory.text.stemming import plain, slips

_NAMES = {
    "error": Moment.ERROR,
    "ошибка": Moment.ERROR,
    "surprise": Moment.SURPRISE,
    "удивление": Moment.SURPRISE,
    "неожиданность": Moment.SURPRISE,
    "hold": Moment.HOLD,
    "держит": Moment.HOLD,
    "удачно": Moment.HOLD,
}
_ENDS = ".,:;!—–-"
_LONG = 7
"""Names of this length may have two typos."""
_WRONG = re.compile(
    r"(?<!\bnot )(?<!\bnothing )(?<!\bне )(?<!\bничего )"
    r"\b(wrong|incorrect|false|untrue|inaccurate|mistaken?|неверн\w*|неверен|неправильн\w*|ошиб\w*|неправд\w*)\b"
)


def find_moment(text: str) -> Moment | None:
    """Return the moment with this name, in English or Russian; None if there is none."""
    return _NAMES.get(plain(text).rstrip(_ENDS))


def require_moment(text: str) -> Moment:
    """Return the moment with this name.

    Raises:
        MarkError: there is none; the message suggests the nearest name.
    """
    if moment := find_moment(text):
        return moment
    near = nearest_moment(text)
    hint = (
        Sentence("did you mean {near}?", near=near)
        if near
        else Sentence("use error, surprise or hold")
    )
    raise MarkError("{text!r} is not a moment; {hint}", text=text[:40], hint=hint)


def nearest_moment(word: str) -> str | None:
    """Return the name of the moment that a misspelt word probably means; None if there is none."""
    word = plain(word).rstrip(_ENDS)
    return next((name for name in _NAMES if nearly(word, name)), None)


def nearly(word: str, name: str) -> bool:
    """Whether `word` is `name` with one or two typos and almost the same beginning."""
    if len(word) < 3 or word[0] not in name[:2]:
        return False
    return slips(word, name, 2 if len(name) >= _LONG else 1)


def default_moment(*, sounds: str | None, note: str | None, of_kind: Moment | None) -> Moment:
    """Return the moment of a mark that does not name one.

    It is the moment of its kind; else an error if a better answer is given or the note calls the
    reply wrong; else a surprise.
    """
    if of_kind is not None:
        return of_kind
    wrong = note is not None and _WRONG.search(plain(note))
    return Moment.ERROR if wrong or (sounds and sounds.strip()) else Moment.SURPRISE
