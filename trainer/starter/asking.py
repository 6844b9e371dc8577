"""The questions that the starter is trained and measured on, about its world and outside it.

This module draws questions, rewords them, imitates careless typing, and makes the answer that a
difference gives. A question that the world answers is never returned as unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from random import Random

from trainer.starter import words
from trainer.starter.world import ASK, DONT_KNOW, HELD_OUT, Fact, capital, facts

LANGUAGES = ("en", "ru")
_SHARE = {
    "capital": 6,
    "colour": 4,
    "opposite": 5,
    "after": 2,
    "before": 2,
    "sum": 5,
    "difference": 5,
    "family": 2.5,
    "talk": 5,
}  # fmt: skip
_BEFORE = {
    "en": (
        *("Please, ", "So, ", "And ", "Hey, ", "Well, ", "Then ", "Now, ", "Again: ", "But "),
        *("Tell me, ", "Please tell me: ", "I ask again: ", "Can you say, ", "OK, ", "Answer me: "),
    ),
    "ru": (
        *("Пожалуйста, ", "Так ", "А ", "И ", "Ну, ", "Тогда ", "Теперь ", "Снова: ", "Но "),
        *("Скажи мне, ", "Ответь: ", "Спрошу снова: ", "Скажи, ", "Хорошо, ", "А скажи, "),
    ),
}
_AFTER = {"en": (" please", ", please", " then"), "ru": (" пожалуйста", ", пожалуйста", " тогда")}


@dataclass(frozen=True, slots=True)
class StarterQuestion:
    """A question in all its wordings, and the reply when no difference applies.

    `subject` and `relation` say what it is about; `pattern` is the form of an answer in a difference.
    """

    language: str
    relation: str
    subject: str
    wordings: tuple[str, ...]
    reply: str
    known: bool
    pattern: str = ""


def plain(text: str) -> str:
    """Return the text in lower case and without punctuation, for comparing questions."""
    return " ".join(re.sub(r"[^\w+\-*/]+", " ", text.lower()).split())


@cache
def _known() -> frozenset[str]:
    return frozenset(plain(text) for fact in facts() for text in (*fact.asked, *fact.held_out))


@cache
def _subjects(relation: str, language: str) -> frozenset[str]:
    return frozenset(
        fact.subject.lower()
        for fact in facts()
        if fact.relation == relation and fact.language == language
    )


@cache
def _facts(relation: str, language: str) -> tuple[Fact, ...]:
    return tuple(f for f in facts() if f.relation == relation and f.language == language)


@cache
def groups(language: str, *, held_out: bool = False) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Return the relations outside the world: their wordings and the pattern of a reply."""
    text = words.lists()["held" if held_out else "train"][language]
    found = []
    for block in text.strip().split("\n\n"):
        *asked, pattern = block.strip().splitlines()
        found.append((tuple(asked), pattern.removeprefix("= ")))
    return tuple(found)


def of_fact(fact: Fact, *, held_out: bool = False) -> StarterQuestion:
    """Return the question of a fact in its training wordings, or in the held-out ones."""
    asked = fact.held_out if held_out else fact.asked
    return StarterQuestion(fact.language, fact.relation, fact.subject, asked, fact.reply, True)


def of_world(random: Random, language: str, relation: str = "") -> StarterQuestion:
    """Return a question that the world answers."""
    relation = relation or random.choices(list(_SHARE), list(_SHARE.values()))[0]
    return of_fact(random.choice(_facts(relation, language)))


def unknown(random: Random, language: str, *, held_out: bool = False) -> StarterQuestion:
    """Return a question that the world does not answer.

    With `held_out`, its wording and, where there is a list of them, its words are kept out of training.
    """
    while True:
        question = _unknown(random, language, held_out)
        if not any(plain(text) in _known() or not plain(text) for text in question.wordings):
            return question


def _unknown(random: Random, language: str, held_out: bool) -> StarterQuestion:
    shape = random.random()
    if shape < 0.42:
        return about(random, language, held_out=held_out)
    if shape < 0.70:
        return misplaced(random, language, held_out=held_out)
    if shape < 0.80:
        text = random.choice(words.sentences(language, held_out=held_out))
        return _loose(language, (text,))
    if shape < 0.85:
        return _arithmetic(random, language)
    if shape < 0.89:
        text = words.name(random, language)
        return _loose(language, (text, capital(text) + "?", text + "."))
    if shape < 0.91:
        return _loose("en", (words.numeral(random),))
    text = capital(words.phrase(random, language))
    return _loose(language, tuple(text + mark for mark in ("?", ".", "", "!")))


def _loose(language: str, wordings: tuple[str, ...]) -> StarterQuestion:
    if not any("а" <= char <= "я" or char == "ё" for char in "".join(wordings).lower()):
        language = "en"
    return StarterQuestion(language, "", wordings[0], wordings, DONT_KNOW[language], False)


def _name(random: Random, language: str, held_out: bool) -> str:
    if held_out and random.random() < 0.5:
        return random.choice(words.ordinary(language, held_out=True))
    return words.name(random, language)


def about(
    random: Random, language: str, *, held_out: bool = False, name: str = ""
) -> StarterQuestion:
    """Return a question of a relation outside the world."""
    asked, pattern = random.choice(groups(language, held_out=held_out))
    x = name or _name(random, language, held_out)
    if not name and random.random() < 0.12:
        x = of_world(random, language, random.choice(("capital", "colour", "opposite"))).subject
    wordings = tuple(capital(text.format(x=x)) for text in asked)
    return StarterQuestion(language, asked[0], x, wordings, DONT_KNOW[language], False, pattern)


def misplaced(
    random: Random, language: str, *, held_out: bool = False, relation: str = "", name: str = ""
) -> StarterQuestion:
    """Return a question of a relation of the world about something that has no such answer."""
    relation = relation or random.choice(
        (
            "capital",
            "capital",
            "colour",
            "colour",
            "opposite",
            "opposite",
            "after",
            "before",
            "family",
        )
    )
    x = name or _name(random, language, held_out)
    if not name and random.random() < 0.3:
        others = ("capital", "colour", "opposite", "after")
        x = of_world(random, language, random.choice(others)).subject
    elif not name and random.random() < 0.25:
        x = words.near(random, of_world(random, language, relation).subject, language)
    if relation in ("colour", "family") and language == "en" and not x.startswith(("a ", "the ")):
        x = random.choice(("a ", "the ", "", "a ")) + x
    if x.lower() in _subjects(relation, language):
        return misplaced(random, language, held_out=held_out, relation=relation)
    kind = random.choice({"en": ("day", "month"), "ru": ("день", "месяц")}[language])
    every = ASK[relation][language]
    asked = every[-HELD_OUT:] if held_out else every[:-HELD_OUT]
    wordings = tuple(capital(text.format(x=x, k=kind)) for text in asked)
    pattern = {
        "capital": {"en": "The capital of {x} is {y}.", "ru": "Столица {x} — {y}."},
        "colour": {"en": "{x} is {y}.", "ru": "Цвет {x} — {y}."},
        "opposite": {"en": "The opposite of {x} is {y}.", "ru": "Антоним слова {x} — {y}."},
        "after": {"en": "{y} comes after {x}.", "ru": "После {x} идёт {y}."},
        "before": {"en": "{y} comes before {x}.", "ru": "Перед {x} идёт {y}."},
        "family": {"en": "{x} difference shows {y}.", "ru": "{x} различие показывает {y}."},
    }[relation][language]
    return StarterQuestion(language, relation, x, wordings, DONT_KNOW[language], False, pattern)


def _arithmetic(random: Random, language: str) -> StarterQuestion:
    sign = random.choice("+-*/+-")
    a, b = random.randint(0, 10 ** random.randint(1, 3)), random.randint(0, 99)
    if (sign == "+" and a + b <= 20) or (sign == "-" and 0 <= a - b <= 20 and a <= 20):
        a += 30
    spoken = {
        "en": {"+": "plus", "-": "minus", "*": "times", "/": "divided by"},
        "ru": {"+": "плюс", "-": "минус", "*": "умножить на", "/": "разделить на"},
    }[language][sign]
    first = {"en": ("What is", "How much is"), "ru": ("Сколько будет", "Чему равно")}[language]
    wordings = (f"{first[0]} {a} {sign} {b}?", f"{first[1]} {a} {sign} {b}?",
                f"{first[0]} {a} {spoken} {b}?", f"{first[1]} {a} {spoken} {b}?")  # fmt: skip
    return StarterQuestion(
        language, "arithmetic", f"{a}{sign}{b}", wordings, DONT_KNOW[language], False
    )


def typed(random: Random, text: str, language: str) -> str:
    """Return the text as someone might type it: other case, no punctuation, a word in front."""
    draw = random.random()
    if draw < 0.12:
        text = text.lower()
    elif draw < 0.15:
        text = text.upper()
    elif draw < 0.20:
        text = random.choice(_BEFORE[language]) + text[:1].lower() + text[1:]
    draw = random.random()
    if draw < 0.18:
        text = text.rstrip(".?!")
    elif draw < 0.22:
        text = text.rstrip(".?!") + random.choice(("??", "!", "...", " ?", "?!", ".", "?"))
    elif draw < 0.25:
        text = text.rstrip(".?!") + random.choice(_AFTER[language]) + random.choice(("", "?", "."))
    return text or "?"


def sounds(random: Random, question: StarterQuestion, *, held_out: bool = False) -> str:
    """Return what someone might have written as the expected reply."""
    language = question.language if random.random() < 0.9 else random.choice(LANGUAGES)
    draw = random.random()
    y = _name(random, language, held_out)
    if draw < 0.40 and question.pattern:
        if random.random() < 0.3:
            y = words.phrase(random, language, 3)
        return capital(question.pattern.format(x=question.subject, y=y))
    if draw < 0.40 and question.known and question.relation != "talk":
        # The sentence of the world with another ending.
        return " ".join(question.reply.split()[:-1]) + f" {y}."
    if draw < 0.46:
        return of_world(random, language).reply
    if draw < 0.58:
        return capital(y) + random.choice((".", ".", "", "!"))
    if draw < 0.64:
        return words.numeral(random) + random.choice((".", ""))
    if draw < 0.70:
        return random.choice(words.sentences(language, held_out=held_out))
    if draw < 0.76:
        pattern = random.choice(groups(language, held_out=held_out))[1]
        return capital(pattern.format(x=words.name(random, language), y=y))
    text = words.phrase(random, language, 8)
    if random.random() < 0.1:
        text += random.choice((". ", "? ", "; ", " - ")) + words.phrase(random, language, 5)
    return (capital(text) if random.random() < 0.8 else text) + random.choice(
        (".", ".", "!", "", "?")
    )
