"""The numbers of a text: digits, versions, number words and sums, so that recall can compare them.

"2 + 3" is another question than "2 + 2", "Chapter 3" than "Chapter 4", "Python 3.11" than "3.12";
"two plus three", "2+3" and "2 + 3 =" are the same. Number words are recognised in English and
Russian, cardinals and ordinals, in all cases. Texts are expected as `memory.text.stemming.plain`
returns them. Pure functions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

SIGNS = frozenset("+-*/<>^")
_TURNS = frozenset("+*")
"""Signs around which the order of the numbers does not matter."""

# 3.11, 1.2.3 and 2,5 are kept whole.
_GROUPS = re.compile(
    r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])|(?<![\d.,])(?<!\d )\d{1,3}(?: \d{3})+(?![\d,.])(?! \d)"
)
_TOKEN = re.compile(
    r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)?|[+*/<>^=×÷⁄·−]|(?<![^\W\d_])-(?=\s?\d)"
)

_OTHER_SIGNS = {"×": "*", "·": "*", "÷": "/", "⁄": "/", "−": "-"}
_ROMAN = re.compile(r"(?=[ivx]{2,}\Z)x{0,3}(?:ix|iv|v?i{0,3})")
_SIGN_WORDS = {
    "plus": "+",
    "плюс": "+",
    "minus": "-",
    "минус": "-",
    "times": "*",
    "x": "*",
    "х": "*",
}
_SIGN_PAIRS = {
    ("multiplied", "by"): "*",
    ("divided", "by"): "/",
    ("умножить", "на"): "*",
    ("разделить", "на"): "/",
    ("делить", "на"): "/",
}
_ENGLISH_UNITS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen
"""
_ENGLISH_ORDINALS = """
zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth
fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth
"""
_ENGLISH_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_RUSSIAN = {
    # Without forms that are also other words: of a family, of a magpie.
    0: "ноль ноля нулю нулем нуле нуль нуля",
    1: "один одна одно одного одной одному одним одну одном",
    2: "два две двух двум двумя",
    3: "три трех трем тремя",
    4: "четыре четырех четырем четырьмя",
    5: "пять пяти пятью",
    6: "шесть шести шестью",
    7: "семь семи",
    8: "восемь восьми восемью восьмью",
    9: "девять девяти девятью",
    10: "десять десяти десятью",
    40: "сорок",
    50: "пятьдесят пятидесяти",
    60: "шестьдесят шестидесяти",
    70: "семьдесят семидесяти",
    80: "восемьдесят восьмидесяти",
    90: "девяносто девяноста",
    100: "сто ста",
    200: "двести двухсот",
    300: "триста трехсот",
    400: "четыреста четырехсот",
    500: "пятьсот пятисот",
    600: "шестьсот шестисот",
    700: "семьсот семисот",
    800: "восемьсот восьмисот",
    900: "девятьсот девятисот",
}
_RUSSIAN_TEENS = {
    11: "одиннадцат", 12: "двенадцат", 13: "тринадцат", 14: "четырнадцат", 15: "пятнадцат",
    16: "шестнадцат", 17: "семнадцат", 18: "восемнадцат", 19: "девятнадцат", 20: "двадцат",
    30: "тридцат",
}  # fmt: skip
_RUSSIAN_ORDINALS = {
    1: "перв", 2: "втор", 4: "четверт", 5: "пят", 6: "шест", 7: "седьм", 8: "восьм", 9: "девят",
    10: "десят", **_RUSSIAN_TEENS, 40: "сороков", 50: "пятидесят", 60: "шестидесят",
    70: "семидесят", 80: "восьмидесят", 90: "девяност", 100: "сот", 1000: "тысячн",
}  # fmt: skip
_ENDINGS = "ый ой ая ое ого ому ым ом ую ые ых ыми"
_THIRD = (
    "третий третья третье третьего третьей третьему третьим третьем третью третьи третьих третьими"
)
_SCALE_FORMS = {
    100: "hundred",
    1000: "thousand тысяча тысячи тысяч тысячу тысяче тысячей тысячам тысячами",
    10**6: "million миллион миллиона миллионов миллиону миллионом миллионе",
    10**9: "billion миллиард миллиарда миллиардов миллиарду миллиардом",
}
_SCALES = {form: scale for scale, forms in _SCALE_FORMS.items() for form in forms.split()}
_ONE = frozenset(("one", *_RUSSIAN[1].split()))
_COUNTED_WORDS = """
act article book chapter class day episode figure floor grade lesson level line no number page part
phase point question room row rule season section stage step table task type unit version volume war
week акт выпуск глава главе главу главы день книга книге книги курс неделя номер номера правило пункт
раздел серия сезон страница страницы странице таблица тип том уровень урок часть части шаг этап
"""
_COUNTED = frozenset(_COUNTED_WORDS.split())
"""After these, "one" is a number; otherwise it usually means a thing ("the red one", "один из них")."""


def _number_words() -> dict[str, int]:
    words = {word: value for value, word in enumerate(_ENGLISH_UNITS.split())}
    words |= {word: value for value, word in enumerate(_ENGLISH_ORDINALS.split())}
    for value, word in zip(range(20, 100, 10), _ENGLISH_TENS.split(), strict=True):
        words |= {word: value, f"{word[:-1]}ieth": value}
    words |= {form: value for value, forms in _RUSSIAN.items() for form in forms.split()}
    for value, root in _RUSSIAN_TEENS.items():
        words |= {f"{root}{ending}": value for ending in ("ь", "и", "ью")}
    for value, root in _RUSSIAN_ORDINALS.items():
        words |= {f"{root}{ending}": value for ending in _ENDINGS.split()}
    return words | dict.fromkeys(_THIRD.split(), 3)


_WORDS = _number_words()
_BESIDE = SIGNS | {"="} | _SIGN_WORDS.keys() | {first for first, _by in _SIGN_PAIRS}
_BY = frozenset(by for _first, by in _SIGN_PAIRS)


def ungrouped(text: str) -> str:
    """Return a text with 1,000 and 1 000 as 1000."""
    return _GROUPS.sub(lambda found: found[0].replace(" ", "").replace(",", ""), text)


def with_digits(words: Sequence[str]) -> list[str]:
    """Return words with number words as digits ("twenty three" as "23") and sign words as signs.

    >>> with_digits("what is two plus three".split())
    ['what', 'is', '2', '+', '3']
    """
    found: list[str] = []
    at = 0
    while at < len(words):
        value, after = _read(words, at)
        if after == at or _counts_nothing(words, at, after):
            found.append(words[at])
            at += 1
            continue
        if 17 <= value <= 20:  # nineteen eighty-four
            rest, end = _read(words, after)
            if 10 <= rest <= 99:
                value, after = 100 * value + rest, end
        found.append(str(value))
        at = after
    return _with_signs(found)


def _counts_nothing(words: Sequence[str], start: int, end: int) -> bool:
    """Whether what was read is "one" used for a thing."""
    if end - start > 1 or words[start] not in _ONE:
        return False
    before = words[start - 1] if start else ""
    after = words[end] if end < len(words) else ""
    return not (before in _COUNTED or before in _BESIDE or after in _BESIDE or before in _BY)


def _with_signs(words: Sequence[str]) -> list[str]:
    """Replace words for a sign between two numbers by that sign."""
    found: list[str] = []
    at = 0
    while at < len(words):
        sign, after = _SIGN_WORDS.get(words[at]), at + 1
        if sign is None and (
            sign := _SIGN_PAIRS.get((words[at], "".join(words[after : after + 1])))
        ):
            after += 1
        if (
            sign
            and found
            and found[-1].isdigit()
            and "".join(words[after : after + 1])[:1].isdigit()
        ):
            found.append(sign)
            at = after
        else:
            found.append(words[at])
            at += 1
    return found


def _read(words: Sequence[str], at: int) -> tuple[int, int]:
    """Return the number that starts at a position, and its end; the same position if there is none."""
    # `least` is the place value of what was read last: only smaller ones can follow.
    total, part, least = 0, 0, 1000
    start = at
    while at < len(words):
        word = words[at]
        if word in ("and", "и") and at > start and part % 100 == 0 and _joins(words, at):
            at += 1
            continue
        if word in _SCALES:
            scale = _SCALES[word]
            if scale == 100 and part < 100:
                part, least = (part or 1) * 100, 100
            elif scale > 100 and (total == 0 or scale < _size(total)):
                total, part, least = total + (part or 1) * scale, 0, 1000
            else:
                break
        elif (value := _WORDS.get(word)) is not None:
            size = 100 if value >= 100 else 10 if value >= 20 else 1
            if size >= least:
                break
            # After "twenty" comes a unit, after "twelve" nothing.
            if part % 100 and (value >= 10 or value == 0):
                break
            part, least = part + value, size
        else:
            break
        at += 1
    return total + part, at


def _joins(words: Sequence[str], at: int) -> bool:
    """Whether "and" is part of a number: "one hundred and five", but not "two and three"."""
    after = words[at + 1] if at + 1 < len(words) else ""
    return words[at - 1] in _SCALES and _WORDS.get(after, 100) < 100


def _size(number: int) -> int:
    size = 1
    while number % (size * 1000) == 0:
        size *= 1000
    return size


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of a text: `reckoned` are those of sums, with their signs, in order."""

    reckoned: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def differ(self, other: Numbers) -> bool:
        """Whether the two texts have different numbers, or different calculations with them.

        A text with additional numbers is only more specific.
        """
        if self.reckoned and other.reckoned:
            return self.reckoned != other.reckoned or _part(self.others, other.others)
        ours, theirs = self._all, other._all
        if not ours or not theirs:
            return False
        if self.reckoned or other.reckoned:  # "the sum of 2 and 3" is "2 + 3", and "2" is not
            return Counter(ours) != Counter(theirs)
        return _part(ours, theirs)

    @property
    def _all(self) -> tuple[str, ...]:
        return (*(item for item in self.reckoned if item not in SIGNS), *self.others)


def _part(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether each has numbers that the other does not have."""
    one, other = Counter(ours), Counter(theirs)
    return not (one <= other or other <= one)


@lru_cache(maxsize=4096)
def numbers(text: str) -> Numbers:
    """Return the numbers of a plain text."""
    tokens = with_digits(
        _without_roman([_token(found[0]) for found in _TOKEN.finditer(ungrouped(text))])
    )
    kinds = ["n" if token[0].isdigit() else "s" if token in SIGNS else "w" for token in tokens]
    reckoned: list[str] = []
    others: list[str] = []
    for at, (token, kind) in enumerate(zip(tokens, kinds, strict=True)):
        around = (kinds[at - 1] if at else "w", kinds[at + 1] if at + 1 < len(kinds) else "w")
        if kind == "n":
            (reckoned if "s" in around else others).append(token)
        elif kind == "s" and "n" in around:
            reckoned.append(token)
    signs = [item for item in reckoned if item in SIGNS]
    if len(set(signs)) == 1 and signs[0] in _TURNS:  # 3 + 2 is 2 + 3
        reckoned = sorted(reckoned)
    return Numbers(tuple(reckoned), tuple(others))


def _token(text: str) -> str:
    if text in _OTHER_SIGNS:
        return _OTHER_SIGNS[text]
    if text[0].isdigit() and text.count(",") == 1 and "." not in text:
        return text.replace(",", ".")  # 2,5 as it is written in Russian
    return text


def _without_roman(tokens: Sequence[str]) -> list[str]:
    """Replace Roman numerals by digits; a single letter only after a noun that is counted."""
    found: list[str] = []
    for token in tokens:
        after = found[-1] if found else ""
        single = (token in ("v", "x") and after in _COUNTED) or (token == "i" and after == "war")
        found.append(str(_roman(token)) if single or _ROMAN.fullmatch(token) else token)
    return found


def _roman(text: str) -> int:
    values = [{"i": 1, "v": 5, "x": 10}[letter] for letter in text]
    after = [*values[1:], 0]
    return sum(-one if one < other else one for one, other in zip(values, after, strict=True))
