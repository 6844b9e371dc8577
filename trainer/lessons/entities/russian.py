"""Russian: the names and nouns that a question is about, and others in the same case. Pure."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import cache
from typing import get_args

from memory.text.stemming import plain, stems
from trainer.lessons.entities.entity import Entity, table
from trainer.lessons.entities.russian_cases import GrammaticalCase, decline, gender_in, gender_of
from trainer.lessons.rephrase import count_content_words, invent_word

ALIKE = 12
"""Number of words that are put in the place of one word of a name."""
_NAME = re.compile(r"[А-ЯЁ][\w-]*\w(?:\s+[А-ЯЁ][\w-]*\w)*")
_TITLE = re.compile(r"[«“\"]([^«»“”\"\s]+(?:\s+[^«»“”\"\s]+){1,7})[»”\"]")
_CYRILLIC_WORD = re.compile(r"[А-Яа-яЁё]+(?:-[А-Яа-яЁё]+)*")


def find(asked: str) -> list[Entity]:
    """Return the names, or else the last noun, that a question is about, the most telling first."""
    found: list[Entity] = []
    titles = [match for match in _TITLE.finditer(asked) if match.start() > 0]
    for match in titles:
        before = plain(asked[: match.start()]).split()
        case = _case_of(before, plain(match[1]).split()[0])
        found.append(Entity(match[1], match.start(1), match.end(1), "work", case=case))
    for match in _NAME.finditer(asked):
        inside = any(title.start() < match.start() < title.end() for title in titles)
        if match.start() > 0 and not inside:
            found.append(_entity(asked, match[0], match.start()))
    if found:
        return found[::-1]
    nouns = [
        m for m in _CYRILLIC_WORD.finditer(asked)
        if m.start() > 0 and len(m[0]) > 2 and count_content_words(m[0]) and not _is_verb(m[0])
    ]  # fmt: skip
    return [_entity(asked, nouns[-1][0], nouns[-1].start())] if nouns else []


def _is_verb(word: str) -> bool:
    return (
        re.search(r"([её]т|ит|ют|ут|ят|ат|тся|лся|лась|лось|ал|ил|ел|ла|ли|ть)$", word) is not None
    )


def _entity(asked: str, text: str, start: int) -> Entity:
    end = start + len(text)
    before = plain(asked[:start]).replace("«", " ").split()
    for kind, heads in table("russian")["heads"].items():
        if before and _stem(before[-1]) in {_stem(head) for head in heads}:
            return Entity(text, start, end, kind, head=before[-1], case="nominative")
    case = _case_of(before, plain(text).split()[-1])
    kind = "thing" if text[:1].islower() else _kind_of(asked, text)
    if kind == "thing" and ("зовут" in before or (before[-1:] and before[-1].endswith("ого"))):
        kind = "living"
    return Entity(text, start, end, kind, case=case)


def _stem(word: str) -> str:
    return stems(word)[0] if word else ""


@cache
def _cues() -> dict[str, frozenset[str]]:
    return {
        name: frozenset(plain(cue) for cue in cues)
        for name, cues in table("russian")["cues"].items()
    }


def _kind_of(asked: str, text: str) -> str:
    low = plain(asked)
    cues = _cues()
    if any(cue in low for cue in cues["person"]) or len(text.split()) == 2:
        return "person"
    for kind in ("place", "work"):
        if any(cue in low for cue in cues[kind]):
            return kind
    return "any"


def _case_of(before: Sequence[str], word: str) -> GrammaticalCase | None:
    """Return the case of `word` after the words `before` it; None if unclear."""
    cues = _cues()
    last = before[-1] if before else ""
    if " ".join(before[-2:]) in cues["accusative"]:
        return "accusative"
    if last in cues["prepositional"] and word.endswith(("у", "ю")):
        return "accusative"  # "в Москву"
    known: tuple[GrammaticalCase, ...] = get_args(GrammaticalCase)
    if found := next((case for case in known if last in cues[case]), None):
        return found
    endings: tuple[tuple[tuple[str, ...], GrammaticalCase], ...] = (
        (("ого", "его"), "accusative" if "зовут" in before else "genitive"),
        (("ую", "юю", "мою", "твою", "вою"), "accusative"),
        (("ая", "яя", "ый", "ое"), "nominative"),
    )
    return next((case for ends, case in endings if last.endswith(ends)), None)


def candidates(entity: Entity, order: random.Random) -> list[str]:
    """Return listed names or nouns of the kind of `entity` in its case, some of them drawn."""
    words = table("russian")
    if entity.head:
        return list(words["cities"] if entity.kind == "place" else words["last"])
    if entity.kind == "person" and " " in entity.text:
        return _people(entity, order)
    pools: dict[str, Sequence[str]] = {
        "person": words["first"], "work": words["works"],
        "place": (*words["countries"], *words["cities"]),
        "thing": words["things"], "living": (*words["animals"], *words["family"]),
    }  # fmt: skip
    anything = (*words["first"], *words["cities"], *words["countries"])
    return _agreeing(entity, pools.get(entity.kind, anything))


def alike(entity: Entity, order: random.Random) -> list[str]:
    """Return names that share all words but one with `entity`; none for a single word.

    The word in its place has the same case, or is invented with the same ending.
    """
    parts = entity.text.split()
    if len(parts) < 2:
        return []
    made = []
    case = _case_of([plain(part) for part in parts[:-1]], plain(parts[-1]))
    gender = gender_in(parts[-1], case) if case else None
    things = [
        text for text in table("russian")["things"] if gender is None or gender_of(text) == gender
    ]
    for text in order.sample(things, min(ALIKE, len(things))):
        other = decline(text, case) if case else invent_word(parts[-1], order)
        made.append(" ".join([*parts[:-1], other]))
        made.append(" ".join([invent_word(parts[0], order), *parts[1:]]))
    return made


def _agreeing(entity: Entity, pool: Sequence[str]) -> list[str]:
    """Return the words of `pool` in the case of `entity` and of its gender, or with its ending."""
    last = entity.text.split()[-1]
    if entity.case is None:
        return [text for text in pool if text.lower()[-1:] == last.lower()[-1:]]
    living = {*table("russian")["animals"], *table("russian")["family"]}
    gender = gender_in(last, entity.case)
    if entity.kind == "work":
        gender = None  # in quotes any title fits
    elif entity.case == "accusative" and gender is None and last.lower().endswith(("а", "я")):
        gender = "m"  # the accusative of living things
    of_person = entity.kind == "person" or (entity.kind == "work" and last.endswith(("а", "я")))
    return [
        decline(text, entity.case, animate=of_person or text in living)
        for text in pool
        if gender is None or gender_of(text) == gender
    ]


def _people(entity: Entity, order: random.Random) -> list[str]:
    words = table("russian")
    case: GrammaticalCase = entity.case or "nominative"
    gender = gender_in(entity.text.split()[0], case) or "m"
    first = [name for name in words["first"] if gender_of(name) == gender]
    endings = ("ов", "ев", "ин")
    last = [
        f"{name}а" if gender == "f" and name.endswith(endings) else name
        for name in words["last"]
        if gender == "m" or name.endswith(endings)
    ]
    pairs = zip(order.choices(first, k=24), order.choices(last, k=24), strict=True)
    return [
        f"{decline(one, case, animate=True)} {decline(two, case, animate=True, surname=True)}"
        for one, two in pairs
    ]
