"""The words of a text as recall compares them: lower-cased Snowball stems, English and Russian.

Words of other scripts are not stemmed. Words without a subject (function words, and polite phrases
such as "please tell me", "скажи, пожалуйста") are dropped unless nothing else is left. Number words
become digits ("two plus three" is "2 + 3"). The remaining words are weighted by how common they are
in the language (`common.txt`), so that "the capital of Zubrowka" is about Zubrowka even in a journal
with nothing else.

Source of the stemmers: M. F. Porter, Snowball, through snowballstemmer.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from pathlib import Path
from typing import Protocol

from memory.text.numbers import ungrouped, with_digits

# A hyphen joins letters; before a number it is a sign.
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|[+*/=<>%€$№#&]|(?<![^\W\d_])-(?=\s?\d)")
STEMMER = "2"
"""Changes whenever `stems` returns different stems, so that journals are stemmed again."""
# NFKC would join them with the digits before: 3² is not 32.
_RAISED = re.compile(r"(?<=[\d)])[⁰¹²³⁴-⁹]+")
_FRACTION = re.compile(r"(?<=\d)[¼-¾⅐-⅞]")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)")
_SIGN_WEIGHT = 0.12
_SMALL_NUMBER_WEIGHT = 0.5
_CYRILLIC = re.compile(r"[а-яё]")

_EMPTY_ENGLISH = """
a about all also am an and any are as ask at be been but by can could did do does for from get give
had has have he her here him his how hows i if in into is it its just know let like look may me
might more most much my need now of on or other our out please question quick said say she should
so some sound tell than thanks that the their them then there these they thing this those to too us
very want was we were what whats when where wheres which who whom whos why will with would yes you
your
"""
_EMPTY_RUSSIAN = """
а без бы был была были было быть в вам вас ваш весь во вопрос вот все всё всего вы где говорить да
дай для до его ее её если есть еще ещё же за знаешь знать и из или им их к как какая какие какого
какое какой каком какую когда кто ли либо мне может можешь можно мой моя мы на надо нам нас наш не
него нее неё нет ни них но ну о об объясни он она они оно от очень по пожалуйста подскажи помоги при
про расскажи с сам свой себя сейчас скажи скажите скажет со спасибо так такое такой там те тебе тебя
то того тоже только том ты у уже хочу хотеть чем через что чтобы это эта эти этот этого я
"""


class _Stemmer(Protocol):
    def stemWord(self, word: str) -> str: ...  # noqa: N802  (snowballstemmer's own name)


@cache
def _stemmers() -> tuple[_Stemmer, _Stemmer]:
    import snowballstemmer

    return snowballstemmer.stemmer("english"), snowballstemmer.stemmer("russian")


@cache
def _empty_words() -> frozenset[str]:
    return frozenset(f"{_EMPTY_ENGLISH} {_EMPTY_RUSSIAN}".split())


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    english, russian = _stemmers()
    return (russian if _CYRILLIC.search(word) else english).stemWord(word)


@cache
def _common() -> dict[str, float]:
    """Return the weights of `common.txt` by stem; of words with the same stem the lower weight."""
    weights: dict[str, float] = {}
    for line in (Path(__file__).parent / "common.txt").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            weight, *listed = line.split()
            for word in listed:
                stem = _stem(plain(word))
                weights[stem] = min(float(weight), weights.get(stem, 1.0))
    return weights


def weight(stem: str) -> float:
    """Return how much a stem says about the subject of a text: 1 if rare, near 0 if common."""
    if not stem[0].isalnum():
        return _SIGN_WEIGHT
    if stem.isdigit() and len(stem) <= 2:
        # `memory/text/numbers.py` sees when two texts ask for different numbers.
        return _SMALL_NUMBER_WEIGHT
    return _common().get(stem, 1.0)


@lru_cache(maxsize=1 << 16)
def alike(one: str, other: str) -> float:
    """Return the probability (0 to 1) that two different stems are one word, misspelt or derived.

    One typo (a letter more, less, different, or two swapped) in five letters, two in nine, or a
    shared beginning that makes up most of the longer stem. Numbers are never alike.
    """
    longer, shorter = max(len(one), len(other)), min(len(one), len(other))
    if shorter < 4 or any(char.isdigit() for char in one + other):
        return 0.0
    begin = next((i for i in range(shorter) if one[i] != other[i]), shorter)
    if begin >= 4 and begin >= 0.6 * longer:
        return 0.9
    allowed = 2 if longer >= 9 else 1 if longer >= 5 else 0
    if longer - shorter <= allowed and slips(one, other, allowed):
        return 0.8
    # A typo may hide an ending from the stemmer: captial, but capit for capital.
    ended = shorter >= 5 and longer - shorter <= 2
    return 0.7 if ended and slips(one[:shorter], other[:shorter], 1) else 0.0


def slips(one: str, other: str, most: int) -> bool:
    """Whether two words differ by at most `most` edits, where swapping neighbours is one edit.

    Source: F. J. Damerau (1964), the restricted distance.
    """
    if len(set(one) ^ set(other)) > 2 * most:  # one edit adds and removes at most one letter each
        return False
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        last, row, older = row, [i], before
        for j, right in enumerate(other, start=1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        before = last
    return row[-1] <= most


def plain(text: str) -> str:
    """Return `text` lower-cased in NFKC, ё as е, inner whitespace single; 3² as 3^2, 1½ as 1 1⁄2."""
    text = _RAISED.sub(r"^\g<0>", _FRACTION.sub(r" \g<0>", text))
    text = unicodedata.normalize("NFKC", text).lower().replace("ё", "е")
    return " ".join(text.split())


def words(text: str) -> list[str]:
    """Return the words of `text` in order, lower-cased and not stemmed.

    Apostrophes and 's are removed; number words become digits.
    """
    found = (
        word.replace("’", "'").removesuffix("'s") for word in _WORD.findall(ungrouped(plain(text)))
    )
    return with_digits([_ORDINAL.sub(r"\1", word.replace("'", "")) for word in found])


def stems(text: str) -> list[str]:
    """Return the stems of `text` in order: of its content words, or of all words if it has none."""
    # Messages and candidates are stemmed several times per turn; a pasted book once.
    return list(_short_stems(text) if len(text) <= 2000 else _stems(text))


def _stems(text: str) -> tuple[str, ...]:
    found = words(text)
    content = [word for word in found if word not in _empty_words()]
    return tuple(_stem(word) for word in content or found)


_short_stems = lru_cache(maxsize=4096)(_stems)
