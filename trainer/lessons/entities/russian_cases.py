"""Decline regular Russian nouns and names, and tell the gender of a noun in a known case.

Covers the singular of nouns that keep their stem, and surnames in -ов, -ев and -ин. Source of the
endings: the declensions of A. A. Zaliznyak's grammatical dictionary, types 1 to 8, without stress.
Pure.
"""

from __future__ import annotations

import re
from typing import Literal

GrammaticalCase = Literal[
    "nominative", "genitive", "dative", "accusative", "instrumental", "prepositional"
]
Gender = Literal["m", "f", "n"]
_OBLIQUE: tuple[GrammaticalCase, ...] = (
    "genitive",
    "dative",
    "accusative",
    "instrumental",
    "prepositional",
)
_INVARIABLE = frozenset(["кино", "метро", "кофе", "такси", "радио", "пальто"])
_SOFT_MASCULINE = frozenset(
    ["путь", "гость", "медведь", "голубь", "корабль", "дождь", "олень", "конь", "руль", "якорь"]
)
_SURNAME = re.compile(r".+([оеё]в|ин)(а?)")

# Endings in the order of _OBLIQUE, after the last letter of the nominative, which they replace if it
# is one of the key's.
_HARD_MASCULINE = ("а", "у", "а", "ом", "е")
_SOFT = ("я", "ю", "я", "ем", "е")
_FEMININE_A = ("ы", "е", "у", "ой", "е")
_FEMININE_YA = ("и", "е", "ю", "ей", "е")
_FEMININE_IYA = ("и", "и", "ю", "ей", "и")
_FEMININE_SOFT = ("и", "и", "ь", "ью", "и")
_NEUTER_O = ("а", "у", "о", "ом", "е")
_NEUTER_E = ("я", "ю", "е", "ем", "е")
_SURNAME_M = ("а", "у", "а", "ым", "е")
_SURNAME_F = ("ой", "ой", "у", "ой", "ой")


def gender_of(word: str) -> Gender:
    """Return the gender of a noun in the nominative, judging by its ending."""
    low = word.lower()
    if low.endswith(("а", "я")):
        return "m" if low in ("дядя", "папа", "дедушка") else "f"
    if low.endswith("ь"):
        return "m" if low in _SOFT_MASCULINE or low.endswith(("тель", "арь")) else "f"
    return "n" if low.endswith(("о", "е", "ё")) else "m"


def decline(
    word: str, case: GrammaticalCase, *, animate: bool = False, surname: bool = False
) -> str:
    """Return a noun in `case`. Of several words, each is declined.

    >>> decline("Франция", "genitive"), decline("Мирра", "instrumental")
    ('Франции', 'Миррой')
    """
    if " " in word:
        parts = word.split()
        named = [surname and place == len(parts) - 1 for place in range(len(parts))]
        return " ".join(
            decline(part, case, animate=animate, surname=last)
            for part, last in zip(parts, named, strict=True)
        )
    low = word.lower()
    foreign = low.endswith(("и", "у", "э", "ю", "ы")) or (
        low.endswith(("о", "е")) and word[:1].isupper()
    )
    if case == "nominative" or foreign or low in _INVARIABLE or not low:
        return word
    stem, endings = _type_of(word, low, surname=surname)
    made = endings[_OBLIQUE.index(case)]
    if case == "accusative" and not animate and endings in (_HARD_MASCULINE, _SOFT):
        return word
    if case == "prepositional" and low.endswith("ий"):
        made = "и"
    return stem + _spelt(stem[-1:].lower(), made)


def _type_of(word: str, low: str, *, surname: bool) -> tuple[str, tuple[str, ...]]:
    """Return the stem of a noun in the nominative, and its endings."""
    if surname and (found := _SURNAME.fullmatch(low)):
        return (word[:-1], _SURNAME_F) if found[2] else (word, _SURNAME_M)
    if low.endswith("ия"):
        return word[:-1], _FEMININE_IYA
    if low.endswith("я"):
        return word[:-1], _FEMININE_YA
    if low.endswith("а"):
        return word[:-1], _FEMININE_A
    if low.endswith("о"):
        return word[:-1], _NEUTER_O
    if low.endswith(("е", "ё")):
        return word[:-1], _NEUTER_E
    if low.endswith("ь"):
        return word[:-1], _FEMININE_SOFT if gender_of(word) == "f" else _SOFT
    return (word[:-1], _SOFT) if low.endswith("й") else (word, _HARD_MASCULINE)


def _spelt(before: str, ending: str) -> str:
    """Return `ending` as it is spelt after the letter `before`: книги, товарищем."""
    if ending == "ы" and before in "гкхжшщч":
        return "и"
    if before in "жшщчц":
        return {"ом": "ем", "ой": "ей", "я": "а", "ю": "у"}.get(ending, ending)
    return ending


def gender_in(word: str, case: GrammaticalCase) -> Gender | None:
    """Return the gender of a noun that has `case`; None if its ending does not tell."""
    low = word.lower()
    if case == "nominative":
        return gender_of(word)
    if case == "accusative":
        return "f" if low.endswith(("у", "ю")) else None
    if case == "instrumental":
        return "f" if low.endswith(("ой", "ей", "ью")) else "m"
    if case == "genitive":
        return "f" if low.endswith(("ы", "и")) else "m"
    return None
