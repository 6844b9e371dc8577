"""Words for the starter's training data: invented words, ordinary words, and short runs of both.

The word lists are in `questions.toml`. All draws come from the `Random` passed in, so a seed gives the
same text everywhere. Words of the `held` lists are for measuring only.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

_ONSETS = {
    "en": "b c d f g h j k l m n p r s t v w z br ch cl dr fl gr kr pl pr qu sh sk sl st th tr zh",
    "ru": "б в г д ж з к л м н п р с т ф х ц ч ш бр гр др кл кр пл пр ск сл ст тр хл шл щ",
}
_VOWELS = {
    "en": "a e i o u a e i o u y ai ea ee io oa ou ia",
    "ru": "а е и о у а е и о у ы ю я э ё ия оа",
}
_CODAS = {  # most syllables have none
    "en": "l m n r s t k d x nd rn sk ll tz ng rk ph",
    "ru": "л м н р с т к д й нд рн ск нк зь ль рг",
}
_LETTERS = {"en": "abcdefghijklmnopqrstuvwxyz", "ru": "абвгдежзийклмнопрстуфхцчшщъыьэюя"}


@cache
def lists() -> dict[str, Any]:
    """Return the parsed `questions.toml`."""
    return tomllib.loads(files(__package__).joinpath("questions.toml").read_text("utf-8"))


@cache
def ordinary(language: str, *, held_out: bool = False) -> tuple[str, ...]:
    """Return the ordinary words of a language, or those held out for measuring."""
    name = f"held_{language}" if held_out else language
    return tuple(lists()["words"][name].split())


@cache
def sentences(language: str, *, held_out: bool = False) -> tuple[str, ...]:
    """Return everyday sentences that the starter cannot answer."""
    name = f"sentences_held_{language}" if held_out else f"sentences_{language}"
    return tuple(lists()["words"][name].strip().splitlines())


def invented(random: Random, language: str) -> str:
    """Return an invented word in lower case, of about two to ten letters."""
    if random.random() < 0.15:
        return "".join(random.choice(_LETTERS[language]) for _ in range(random.randint(2, 9)))
    count = random.choices((1, 2, 3, 4), (1, 5, 4, 1))[0]
    onsets, vowels = _ONSETS[language].split(), _VOWELS[language].split()
    codas = ["", "", "", "", *_CODAS[language].split()]
    word = "".join(
        random.choice(onsets)
        + random.choice(vowels)
        + (random.choice(codas) if last or random.random() < 0.3 else "")
        for last in [False] * (count - 1) + [True]
    )
    if random.random() < 0.12:
        word = random.choice(vowels) + word
    return word


def numeral(random: Random) -> str:
    """Return a number, a code or a mix of letters and digits."""
    shape = random.random()
    if shape < 0.55:
        return str(random.randint(0, 10 ** random.randint(1, 5)))
    letters = random.choice((_LETTERS["en"], _LETTERS["en"].upper()))
    parts = [str(random.randint(0, 999)), "".join(random.choices(letters, k=random.randint(1, 3)))]
    random.shuffle(parts)
    return random.choice(("", "-", "", ".")).join(parts)


def name(random: Random, language: str) -> str:
    """Return the subject of a question: a word or two, mostly invented and capitalised."""
    shape = random.random()
    if shape < 0.10:
        return numeral(random)
    if shape < 0.28:
        word = random.choice(ordinary(language))
        return word if random.random() < 0.7 else word.capitalize()
    if shape < 0.33:
        return f"{random.choice(ordinary(language))} {random.choice(ordinary(language))}"
    word = invented(random, language)
    if shape < 0.50:
        return word
    if shape < 0.60:
        return f"{word.capitalize()} {invented(random, language).capitalize()}"
    if shape < 0.63:
        return word.upper()
    if shape < 0.67 and language == "en":
        return f"the {word}"
    return word.capitalize()


def near(random: Random, text: str, language: str) -> str:
    """Return another name that begins or ends like `text`, or shares a word with it."""
    words = text.split()
    if len(words) > 1 and random.random() < 0.5:
        at = random.randrange(len(words))
        words[at] = name(random, language).split()[0]
        return " ".join(words)
    if len(text) > 3:
        cut = random.randint(2, len(text) - 1)
        tail = invented(random, language)[: random.randint(1, 4)]
        return text[:cut] + tail if random.random() < 0.7 else tail.capitalize() + text[cut:]
    return name(random, language)


def phrase(random: Random, language: str, longest: int = 8) -> str:
    """Return a meaningless run of words, some of them invented."""
    share = random.choice((0.0, 0.15, 0.5, 1.0))
    words = [
        invented(random, language) if random.random() < share else random.choice(ordinary(language))
        for _ in range(random.randint(1, longest))
    ]
    if random.random() < 0.12:
        words[random.randrange(len(words))] = numeral(random)
    if random.random() < 0.15 and len(words) > 3:
        words[random.randrange(1, len(words) - 1)] += ","
    return " ".join(words)
