"""Text → the words that recall compares: lower-cased Snowball stems, English and Russian.

Words of other scripts pass unstemmed. Words that carry no subject (function words, and what people
wrap questions in: "please tell me", "скажи, пожалуйста") are dropped unless nothing else is left.

Source of the stemmers: M. F. Porter, Snowball, through snowballstemmer.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import Protocol

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|[+\-*/=<>%€$№#&]")
_CYRILLIC = re.compile(r"[а-яё]")

_EMPTY_ENGLISH = """
a about all also am an and any are as ask at be been but by can could did do does for from get give
had has have he her here him his how i if in into is it its just know let like look may me might
more most much my need now of on or other our out please question quick said say she should so some
sound tell than thanks that the their them then there these they thing this those to too us very
want was we were what what's whats when where which who whom why will with would yes you your
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


def plain(text: str) -> str:
    """Return `text` lower-cased in NFKC, ё as е, inner whitespace single."""
    text = unicodedata.normalize("NFKC", text).lower().replace("ё", "е")
    return " ".join(text.split())


def words(text: str) -> list[str]:
    """Return the words of `text` in order, lower-cased, not stemmed."""
    return _WORD.findall(plain(text))


def stems(text: str) -> list[str]:
    """Return the stems of `text` in order; of its content words, or of all when it has no others."""
    found = words(text)
    content = [word for word in found if word not in _empty_words()]
    return [_stem(word) for word in content or found]
