"""The facts that the starter knows, and the wordings in which they are asked.

The facts are the tables of `facts.toml`, in English and Russian. Each has several wordings; the last
`HELD_OUT` of them are kept out of training, for measuring. Pure, with the same result everywhere.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

DONT_KNOW = {
    "en": "I don't know that yet. Mark it with /diff and tell me how it should sound.",
    "ru": "Этого я пока не знаю. Отметь это через /diff и скажи, как должно звучать.",
}

# Wordings of a relation; {x} is its subject. The last `HELD_OUT` are for measuring only.
HELD_OUT = 2
ASK: dict[str, dict[str, tuple[str, ...]]] = {
    "capital": {
        "en": (
            "What is the capital of {x}?",
            "What's the capital of {x}?",
            "The capital of {x}?",
            "Name the capital of {x}.",
            "Tell me the capital of {x}.",
            "Which city is the capital of {x}?",
            "{x}: what is its capital?",
            "Can you tell me the capital of {x}?",
            "I want to know the capital of {x}.",
            "Give me the capital of {x}.",
            "Do you remember the capital of {x}?",
            "What city is it, the capital of {x}?",
            "Could you say what city the capital of {x} is?",
            "What city is the capital of {x}?",
            "Do you know the capital of {x}?",
        ),
        "ru": (
            "Какая столица у {x}?",
            "Столица {x}?",
            "Назови столицу {x}.",
            "Скажи столицу {x}.",
            "Какой город столица {x}?",
            "Скажи, какая столица у {x}?",
            "Как называется столица {x}?",
            "Какая столица {x}?",
            "Напомни столицу {x}.",
            "Ты помнишь столицу {x}?",
            "Знаешь столицу {x}?",
            "Мне нужна столица {x}.",
            "Ты знаешь столицу {x}?",
            "Подскажи столицу {x}.",
        ),
    },
    "colour": {
        "en": (
            "What colour is {x}?",
            "What color is {x}?",
            "Which colour is {x}?",
            "What is the colour of {x}?",
            "What's the color of {x}?",
            "Tell me the colour of {x}.",
            "The colour of {x}?",
            "Name the colour of {x}.",
            "Which color does {x} have?",
            "Do you remember the colour of {x}?",
            "What is the color, if you know, of {x}?",
            "Give me the color of {x}.",
            "Do you know the colour of {x}?",
            "What is the color of {x}?",
        ),
        "ru": (
            "Какой цвет у {x}?",
            "Назови цвет {x}.",
            "Скажи цвет {x}.",
            "Цвет {x}?",
            "Какого цвета у нас цвет {x}?",
            "Скажи, какой цвет у {x}?",
            "Каков цвет {x}?",
            "Напомни цвет {x}.",
            "Ты помнишь цвет {x}?",
            "Знаешь цвет {x}?",
            "Ты знаешь цвет {x}?",
            "Подскажи цвет {x}.",
        ),
    },
    "opposite": {
        "en": (
            "What is the opposite of {x}?",
            "What's the opposite of {x}?",
            "The opposite of {x}?",
            "Name the opposite of {x}.",
            "Tell me the opposite of {x}.",
            "Which word is the opposite of {x}?",
            "Give me the opposite of {x}.",
            "Do you remember the opposite of {x}?",
            "What word is it, the opposite of {x}?",
            "What word is the opposite of {x}?",
            "Do you know the opposite of {x}?",
        ),
        "ru": (
            "Какой антоним у слова {x}?",
            "Антоним слова {x}?",
            "Назови антоним слова {x}.",
            "Скажи антоним слова {x}.",
            "Что противоположно слову {x}?",
            "Какое слово противоположно слову {x}?",
            "Скажи, какой антоним у слова {x}?",
            "Напомни антоним слова {x}.",
            "Ты помнишь антоним слова {x}?",
            "Знаешь антоним слова {x}?",
            "Ты знаешь антоним слова {x}?",
            "Подскажи антоним слова {x}.",
        ),
    },
    "after": {
        "en": (
            "What comes after {x}?",
            "Which {k} comes after {x}?",
            "What {k} follows {x}?",
            "Which {k} is after {x}?",
            "What is the {k} after {x}?",
            "Name the {k} after {x}.",
            "Tell me the {k} after {x}.",
            "Do you know the {k} after {x}?",
            "What {k} will come after {x}?",
            "What {k} comes after {x}?",
            "Which {k} follows {x}?",
        ),
        "ru": (
            "Какой {k} после {x}?",
            "Что идёт после {x}?",
            "Какой {k} идёт после {x}?",
            "Что наступает после {x}?",
            "Назови {k} после {x}.",
            "Скажи, какой {k} после {x}?",
            "Что после {x}?",
            "Какой {k} наступает после {x}?",
        ),
    },
    "before": {
        "en": (
            "What comes before {x}?",
            "Which {k} comes before {x}?",
            "Which {k} is before {x}?",
            "What is the {k} before {x}?",
            "Name the {k} before {x}.",
            "What is before {x}?",
            "Tell me the {k} before {x}.",
            "Do you know the {k} before {x}?",
            "What {k} came before {x}?",
            "What {k} is before {x}?",
            "What {k} comes before {x}?",
        ),
        "ru": (
            "Какой {k} перед {x}?",
            "Что идёт перед {x}?",
            "Какой {k} идёт перед {x}?",
            "Что бывает перед {x}?",
            "Назови {k} перед {x}.",
            "Скажи, какой {k} перед {x}?",
            "Что перед {x}?",
            "Какой {k} бывает перед {x}?",
        ),
    },
    "sum": {
        "en": (
            "What is {a} + {b}?",
            "{a} + {b}",
            "{a}+{b}",
            "{a} + {b} = ?",
            "{a} + {b} =",
            "How much is {a} + {b}?",
            "What is {a} plus {b}?",
            "{a} plus {b}?",
            "Add {a} and {b}.",
            "How much is {a} plus {b}?",
            "Tell me {a} + {b}.",
            "Compute {a} + {b}.",
            "{a} + {b}=",
            "{a}+{b} = ?",
            "{a} + {b}=?",
            "Can you calculate {a} + {b}?",
            "{a}+{b}=?",
            "Calculate {a} + {b}.",
        ),
        "ru": (
            "Сколько будет {a} + {b}?",
            "Чему равно {a} + {b}?",
            "Сколько будет {a} плюс {b}?",
            "Чему равно {a} плюс {b}?",
            "Сложи {a} и {b}.",
            "Посчитай {a} + {b}.",
            "{a} плюс {b}?",
            "Сколько получится, {a} + {b}?",
            "Скажи, чему равно {a} + {b}?",
            "{a} + {b} это сколько?",
            "Сколько это, {a} + {b}?",
            "Скажи, сколько будет {a} + {b}?",
        ),
    },
    "difference": {
        "en": (
            "What is {a} - {b}?",
            "{a} - {b}",
            "{a}-{b}",
            "{a} - {b} = ?",
            "{a} - {b} =",
            "How much is {a} - {b}?",
            "What is {a} minus {b}?",
            "{a} minus {b}?",
            "How much is {a} minus {b}?",
            "Tell me {a} - {b}.",
            "Compute {a} - {b}.",
            "{a} - {b}=",
            "{a}-{b} = ?",
            "{a} - {b}=?",
            "Can you calculate {a} - {b}?",
            "{a}-{b}=?",
            "Calculate {a} - {b}.",
        ),
        "ru": (
            "Сколько будет {a} - {b}?",
            "Чему равно {a} - {b}?",
            "Сколько будет {a} минус {b}?",
            "Чему равно {a} минус {b}?",
            "Посчитай {a} - {b}.",
            "{a} минус {b}?",
            "Сколько получится, {a} - {b}?",
            "Скажи, чему равно {a} - {b}?",
            "{a} - {b} это сколько?",
            "Сколько это, {a} - {b}?",
            "Скажи, сколько будет {a} - {b}?",
        ),
    },
    "family": {
        "en": (
            "What is {x} difference?",
            "What does {x} difference show?",
            "Explain {x} difference.",
            "What is meant by {x} difference?",
            "Tell me about {x} difference.",
            "Define {x} difference.",
            "What do you mean by {x} difference?",
            "How would you describe {x} difference?",
            "What does the name mean, {x} difference?",
            "Show me {x} difference.",
            "Say what {x} difference is.",
            "What does {x} difference mean?",
            "Describe {x} difference.",
        ),
        "ru": (
            "Что такое {x} различие?",
            "Что показывает {x} различие?",
            "Объясни {x} различие.",
            "Расскажи про {x} различие.",
            "Определи {x} различие.",
            "Скажи, что такое {x} различие?",
            "Как понимать {x} различие?",
            "Что значит {x} различие?",
            "Опиши {x} различие.",
        ),
    },
}
ASK["colour"]["ru"] = tuple(w for w in ASK["colour"]["ru"] if "у нас" not in w)


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact: its wordings for training, the held-out ones, and the reply.

    `subject` and `relation` identify what is asked, so that a difference about it can be recognised.
    """

    language: str
    relation: str
    subject: str
    asked: tuple[str, ...]
    held_out: tuple[str, ...]
    reply: str


def _rows(table: str, columns: int) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    for row in rows:
        if len(row) != columns:
            raise ValueError(f"facts.toml: {' | '.join(row)!r} has not {columns} columns")
    return rows


def _fact(language: str, relation: str, subject: str, reply: str, **slots: str) -> Fact:
    wordings = [capital(text.format(**slots)) for text in ASK[relation][language]]
    return Fact(
        language, relation, subject, tuple(wordings[:-HELD_OUT]), tuple(wordings[-HELD_OUT:]), reply
    )


def capital(text: str) -> str:
    """Return the text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


@cache
def tables() -> dict[str, list[list[str]]]:
    """Return the tables of `facts.toml` as cells."""
    raw = tomllib.loads(files(__package__).joinpath("facts.toml").read_text("utf-8"))
    columns = {"capitals": 4, "colours": 4, "opposites_en": 2, "opposites_ru": 2}
    columns |= {"days": 4, "months": 4, "families": 5}
    return {name: _rows(raw[name], width) for name, width in columns.items()}


@cache
def facts() -> tuple[Fact, ...]:
    """Return all facts, one per language."""
    rows = tables()
    found: list[Fact] = []
    for land, city, of_land, town in rows["capitals"]:
        reply = f"The capital of {land} is {city}."
        found.append(_fact("en", "capital", land, reply, x=land))
        found.append(_fact("ru", "capital", of_land, f"Столица {of_land} — {town}.", x=of_land))
    for thing, colour, of_thing, says in rows["colours"]:
        found.append(_fact("en", "colour", thing, f"{capital(thing)} is {colour}.", x=thing))
        found.append(_fact("ru", "colour", of_thing, f"{says}.", x=of_thing))
    for left, right in rows["opposites_en"]:
        for x, y in ((left, right), (right, left)):
            found.append(_fact("en", "opposite", x, f"The opposite of {x} is {y}.", x=x))
    for left, right in rows["opposites_ru"]:
        for x, y in ((left, right), (right, left)):
            found.append(_fact("ru", "opposite", x, f"Антоним слова {x} — {y}.", x=x))
    for kind, kind_ru, table in (("day", "день", "days"), ("month", "месяц", "months")):
        found += _ordered(kind, kind_ru, rows[table])
    for name, shows, name_ru, _, shows_ru in rows["families"]:
        article = "an" if name[0] in "aeiou" else "a"
        x = f"{article} {name}"
        found.append(_fact("en", "family", x, f"{capital(x)} difference shows {shows}.", x=x))
        reply = f"{capital(name_ru)} различие показывает {shows_ru}."
        found.append(_fact("ru", "family", name_ru, reply, x=name_ru))
    return (*found, *_sums(), *_talk())


def _ordered(kind: str, kind_ru: str, rows: list[list[str]]) -> list[Fact]:
    found: list[Fact] = []
    for row, following in zip(rows, rows[1:] + rows[:1], strict=True):
        a, a_ru, after_a, _ = row
        b, b_ru, _, before_b = following
        en = {"k": kind}
        ru = {"k": kind_ru}
        found.append(_fact("en", "after", a, f"{b} comes after {a}.", x=a, **en))
        found.append(_fact("en", "before", b, f"{a} comes before {b}.", x=b, **en))
        found.append(_fact("ru", "after", a_ru, f"После {after_a} идёт {b_ru}.", x=after_a, **ru))
        found.append(
            _fact("ru", "before", b_ru, f"Перед {before_b} идёт {a_ru}.", x=before_b, **ru)
        )
    return found


def _sums() -> list[Fact]:
    found: list[Fact] = []
    for a in range(21):
        for b in range(21):
            for relation, sign, result in (("sum", "+", a + b), ("difference", "-", a - b)):
                if 0 <= result <= 20:
                    reply = f"{a} {sign} {b} = {result}."
                    for language in ("en", "ru"):
                        slots = {"a": str(a), "b": str(b)}
                        found.append(_fact(language, relation, f"{a}{sign}{b}", reply, **slots))
    return found


def _talk() -> list[Fact]:
    raw = tomllib.loads(files(__package__).joinpath("facts.toml").read_text("utf-8"))["talk"]
    found: list[Fact] = []
    for language in ("en", "ru"):
        for block in raw[language].strip().split("\n\n"):
            *asked, reply = block.strip().splitlines()
            reply = reply.removeprefix("= ")
            found.append(Fact(language, "talk", asked[0], tuple(asked[:-1]), (asked[-1],), reply))
    return found
