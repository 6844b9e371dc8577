"""Generate the contents of the benchmark's marks: one generator per theme.

The words are in `starter_marks.toml`. Each generator yields drafts endlessly or until they are used
up, no two about the same thing. The result depends only on the seed. Only `reserved` uses the facts of
the starter's world, for what a mark may contradict. Pure.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from trainer.starter.world import Fact, facts

DEV = 100
"""First seed for development; its held-out wordings are not the reported ones."""
NAMES = {
    "en": (
        "Bel Zar Mor Tel Vin Kas Dor Lum Fen Gal Har Nol Pel Rud Sor Tam Yor Quin",
        "mo do ra ve li nu sha ko bi te",
        "n r th x l s na rin dal wick",
    ),
    "ru": (
        "Бел Зар Мор Тел Вин Кас Дор Лум Фен Гал Хар Нол Пел Руд Сор Там Йор Кун",
        "мо до ра ве ли ну ша ко би те",
        "н р т кс л с на рин дал вик",
    ),
}


@dataclass(frozen=True, slots=True)
class Draft:
    """A mark without the starter's reply; `sounds` is None for a hold."""

    asked: str
    reworded: str
    sounds: str | None
    near: tuple[str, ...]
    style: str = ""


def reserved(fact: Fact) -> bool:
    """Whether a fact of the starter's world is kept for measuring, so that no mark is about it."""
    if fact.relation == "talk":
        return fact.subject in split(grammar()["unrelated"]["talk"])
    return hashlib.sha256(f"{fact.relation} {fact.subject}".encode()).digest()[0] % 2 == 0


def _facts(language: str, random: Random, dev: bool) -> Iterator[Draft]:
    kinds, common = grammar()["facts"][language], grammar()["words"][language]
    names = _names(language, random)
    while True:
        kind = random.choice(kinds)
        line, answer = random.choice(kind["ask"].strip().splitlines()).split(" = ")
        asked, *others = line.split(" | ")
        forms = random.choice(split(kind["heads"]))
        values = {
            name: random.choice(split(words)) for name, words in common.items() if ";" in words
        }
        values |= {
            "first": random.choice(common.get("first", "x").split()),
            "name": next(names),
            "person": " ".join(next(names) for _ in range(2)),
            "hour": str(random.randint(5, 12)),
            "year": str(random.randint(1850, 1999)),
            "number": str(random.randint(100, 999)),
        }
        ours, other = (
            values | _cases(forms, next(names), values),
            _cases(forms, next(names), values),
        )
        near = random.choice(split(kind["near" if dev else "near_report"]))
        yield Draft(
            asked=asked.format(**ours),
            reworded=_other(others, random, dev).format(**ours),
            sounds=_sentence(answer.format(**ours)),
            near=(near.format(**ours), asked.format(**other)),
        )


def _cases(forms: str, name: str, values: dict[str, str]) -> dict[str, str]:
    """Return the subject in the grammatical forms that the questions use."""
    words = (forms.split("|") * 4)[:4]
    head, genitive, instrumental, prepositional = (
        word.format(n=name, first=values["first"]) for word in words
    )
    return {"x": head, "X": _sentence(head), "xg": genitive, "xi": instrumental,
            "xp": prepositional, "n": name}  # fmt: skip


def _commonplace(language: str, random: Random, dev: bool) -> Iterator[Draft]:
    data = grammar()["commonplace"][language]
    words = [(pair.split("|") * 2)[:2] for pair in data["words"].split()]
    words, kept = words[:-10], words[-10:]
    random.shuffle(words)
    pairs = [(i, t) for i in split(data["image"]) for t in split(data["turn"])]
    random.shuffle(pairs)
    for (word, genitive), (image, turn) in zip(words, pairs, strict=False):
        asked, *others = random.choice(data["ask"].strip().splitlines()).split(" | ")
        other = random.choice(kept)
        yield Draft(
            asked=asked.format(x=word, g=genitive),
            reworded=_other(others, random, dev).format(x=word, g=genitive),
            sounds=data["reply"].format(X=_sentence(word), image=image, turn=turn),
            near=(
                random.choice(split(data["near" if dev else "near_report"])).format(x=word),
                asked.format(x=other[0], g=other[1]),
            ),
        )


def _tone(language: str, random: Random, dev: bool) -> Iterator[Draft]:
    made: list[Draft] = []
    for block in grammar()["tone"][language]:
        for line in block["ask"].strip().splitlines():
            questions, rest = line.split(" = ")
            answer, *near = rest.split(" ~ ")
            asked, *others = questions.split(" | ")
            for x in split(block.get("x", "-")):
                y = random.choice(split(block.get("y", "-")))
                made.append(
                    Draft(
                        asked=asked.format(x=x),
                        reworded=_other(others, random, dev).format(x=x),
                        sounds=answer.format(y=y),
                        near=tuple(text.format(x=x) for text in split(near[not dev])),
                        style=block["style"],
                    )
                )
    random.shuffle(made)
    yield from made


def _override(language: str, random: Random, dev: bool) -> Iterator[Draft]:
    return _against_world(language, random, dev, hold=False)


def _hold(language: str, random: Random, dev: bool) -> Iterator[Draft]:
    return _against_world(language, random, dev, hold=True)


def _against_world(language: str, random: Random, dev: bool, *, hold: bool) -> Iterator[Draft]:
    """Yield questions about the starter's world; holds and overrides have different subjects."""
    data, known = grammar()["override"][language], [f for f in facts() if f.language == language]
    answers = {"capital": data["city"].split()} | {
        name: split(data[other]) for name, other in (("colour", "paint"), ("opposite", "word"))
    }
    key = {"capital": "city", "colour": "paint", "opposite": "word"}
    pools = {
        name: sorted(
            {f.subject for f in known if f.relation == name and not reserved(f)}
            - {f.subject for f in known if f.relation == name and reserved(f)}
        )
        for name in answers
    }
    for pool in pools.values():
        Random(f"{language} world").shuffle(pool)
    pools = {name: pool[:3] if hold else pool[3:] for name, pool in pools.items()}
    while any(pools.values()):
        name = random.choice([name for name, pool in pools.items() if pool])
        subject = pools[name].pop(random.randrange(len(pools[name])))
        other = random.choice([f.subject for f in known if f.relation == name and reserved(f)])
        line, *near = data[name].split(" ~ ")
        questions, answer = line.split(" = ")
        asked, *others = questions.split(" | ")
        new = answers[name].pop(random.randrange(len(answers[name])))
        yield Draft(
            asked=asked.format(x=subject),
            reworded=_other(others, random, dev).format(x=subject),
            sounds=None
            if hold
            else answer.format(x=subject, X=_sentence(subject), **{key[name]: new}),
            near=(random.choice(split(near[not dev])).format(x=subject), asked.format(x=other)),
        )


MAKERS: dict[str, Callable[[str, Random, bool], Iterator[Draft]]] = {
    "fact": _facts,
    "commonplace": _commonplace,
    "tone": _tone,
    "override": _override,
    "hold": _hold,
}


def _other(others: list[str], random: Random, dev: bool) -> str:
    """Return one of the development wordings, or the reported one."""
    return random.choice(others[:-1]) if dev else others[-1]


def _names(language: str, random: Random) -> Iterator[str]:
    """Yield invented names, each once."""
    first, middle, last = (part.split() for part in NAMES[language])
    made = [a + b + c for a in first for b in middle for c in last]
    random.shuffle(made)
    return iter(made)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def split(text: str) -> list[str]:
    """Split a text at its semicolons."""
    return [part.strip() for part in text.split(";")]


@cache
def grammar() -> dict[str, Any]:
    """Return the contents of `starter_marks.toml`: sentences and the words to fill in."""
    return tomllib.loads((Path(__file__).parent / "starter_marks.toml").read_text("utf-8"))
