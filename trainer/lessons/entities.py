"""Find what a question is about, and other names and things of the same kind.

A name is told from other words by its capital, a thing by its article (English) or as the last noun
(Russian); the words around it say whether it is a person, a place, a work and so on
(`entities.toml`). Exchanged Russian words keep case and gender (`trainer/lessons/russian_cases.py`).
Pure, with the same result on every machine.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from memory.text.stemming import plain, stems
from trainer.lessons.rephrase import invent_word, is_russian
from trainer.lessons.russian_cases import Case, decline, gender_in, gender_of

INVENTED = 4
"""One of this many names of the same kind does not exist."""
_QUOTED = re.compile(r"[«“\"]([^«»“”\"]{2,80})[»”\"]")
_PROPER = r"[A-ZА-ЯЁ][\w’'.-]*\w"
_JOINING = r"(?:(?:of|the|de|da|di|von|van|der|la|le|del)\s+){0,2}"
_NAME = re.compile(rf"{_PROPER}(?:\s+{_JOINING}{_PROPER})*(?:\s+\([^()]+\))?")
_OPENING = frozenset(
    "what who whom whose which where when why how do does did is are was were can could will would has "
    "have had in on at for to from by of the a an tell give name say explain describe please if and "
    "but i i'm i've list write so".split()
)
_DETERMINER = re.compile(r"\b(?:the|an?|my|your|our|his|her|their|this|that)\s+", re.IGNORECASE)
_PHRASE = re.compile(r"[a-z][\w’'-]*(?:\s+[a-z][\w’'-]*){0,3}")
_OF_BARE = re.compile(r"\bof (?P<word>[a-z][\w’'-]+)\W*$")
_SHIP = re.compile(r"(USS|HMS|RMS|SS)\s")
_ENDS_A_PHRASE = frozenset(
    "the a an my your our his her their of in on at for with to from by about is are was were be do does did has have had can will would "
    "should and or but that which who when where today yesterday tomorrow now made called named like "
    "mean means you i we they he she it not".split()
)
_INVERTED = re.compile(r"(?:^|\s)(?:does|do|did|can|could|will|would|should)\s+$", re.IGNORECASE)
_IS_FIRST = re.compile(r"^(?:is|are|was|were|has|have|had)\s+$", re.IGNORECASE)
_CYRILLIC_WORD = re.compile(r"[А-Яа-яЁё]+(?:-[А-Яа-яЁё]+)*")


@dataclass(frozen=True, slots=True)
class Entity:
    """What a question is about: its place in the text, its kind, and its Russian case.

    `kind` is a key of `entities.toml` ("person", "place", …), or "thing" for a common noun. `head` is
    the last word of a name that says what is named ("Creek"), "" if there is none.
    """

    text: str
    start: int
    end: int
    kind: str
    head: str = ""
    case: Case | None = None
    after: str = ""
    """The text before it, where its kind follows from that."""

    @property
    def is_known(self) -> bool:
        """Whether it is a name, or a word of which others of its class are known."""
        return self.kind != "thing" or bool(self.case or _class_of(self.text.lower()))

    def goes_for(self, other: Entity, mine: str, theirs: str) -> bool:
        """Whether it can take the place of `other`; `mine` and `theirs` are the questions."""
        articles = [
            text[: one.start].lower().endswith("the ") for one, text in ((self, mine), (other, theirs))
        ]
        alike = self.kind == other.kind and self.case == other.case and not (self.head or other.head)
        return alike and articles[0] == articles[1] and self.text[:1].isupper()

    def exchanged(self, asked: str, other: str) -> str:
        """Return the question with `other` in its place, with the right article."""
        before, after = asked[: self.start], asked[self.end :]
        if other.lower().startswith("the ") and re.search(r"\b[Tt]he (\w+ )?$", before):
            other = other[4:]
        if article := re.search(r"\b([Aa])n? $", before):
            other = other.removeprefix("the ")
            before = before[: article.start(1)] + article[1]
            before += "n " if other[:1].lower() in "aeiou" else " "
        if before.lower().endswith(" о ") and other[:1].lower() in "аеёиоуэюя":
            before = f"{before[:-2]}об "
        if not before and other:
            other = other[0].upper() + other[1:]
        return before + other + after


@cache
def table(language: str) -> dict[str, Any]:
    """Return the lists of a language, each as a tuple, and its sub-tables likewise."""

    def read(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: read(inner) for name, inner in value.items()}
        return tuple(value.split("|"))

    text = files(__package__).joinpath("entities.toml").read_text(encoding="utf-8")
    return dict(read(tomllib.loads(text)[language]))


def entities(asked: str) -> list[Entity]:
    """Return what `asked` is about, the most telling first; none if its form does not say."""
    return _russian(asked) if is_russian(asked) else _english(asked)


def others_like(
    entity: Entity, asked: str, known: Sequence[str], order: random.Random
) -> list[str]:
    """Return other names or things of the kind of `entity`, to put in its place.

    `known` are names that other questions are about; those of the same kind are used first. Names
    that do not exist are mixed in.
    """
    russian = is_russian(asked)
    listed = _russian_candidates(entity, order) if russian else _english_candidates(entity, order)
    listed = [text for text in dict.fromkeys(listed) if plain(text) != plain(entity.text)]
    order.shuffle(listed)
    found = [text for text in known if is_russian(text) == russian]
    order.shuffle(found)
    found += listed
    made: list[str] = []
    for number, text in enumerate(found):
        if number % INVENTED == INVENTED - 1 and entity.kind not in _NEVER_INVENTED:
            made.append(_invented(entity, order))
        made.append(text)
    made += [_invented(entity, order) for _ in range(max(0, 16 - len(made)))]
    taken = {plain(entity.text)}
    return [text for text in dict.fromkeys(made) if plain(text) not in taken]


_NEVER_INVENTED = frozenset(("family", "quality", "act"))


def _invented(entity: Entity, order: random.Random) -> str:
    words = entity.text.split()
    if entity.kind == "ship":
        return f"{entity.head} {invent_word('Name', order)}"
    if entity.head and len(words) > 1:
        return f"{invent_word(words[0], order)} {' '.join(words[-1:])}"
    return invent_word(re.sub(r"\W", "", words[-1]) or "Name", order)


# --- English -----------------------------------------------------------------------------------


def _english(asked: str) -> list[Entity]:
    found: list[Entity] = []
    for quoted in _QUOTED.finditer(asked):
        found.append(Entity(quoted[1], quoted.start(1), quoted.end(1), "work"))
    spans = [(one.start, one.end) for one in found]
    for match in _NAME.finditer(asked):
        start, text = match.start(), match[0]
        while text and text.split()[0].lower().removesuffix("'s") in _OPENING:
            if start > 0 and text.split()[0] in ("The", "A") and len(text.split()) > 1:
                break  # "Who wrote The Blue Book?"
            rest = text.split(None, 1)
            start, text = (start + text.index(rest[1]), rest[1]) if len(rest) > 1 else (start, "")
        text = re.sub(r"['’]s$", "", text)
        if not text or (start == 0 and len(text.split()) == 1 and not _listed(text)):
            continue  # "Hello!": the capital of the first word says nothing
        if any(low <= start < high for low, high in spans):
            continue
        found.append(_named(asked, text, start))
    found.reverse()  # what comes last is usually asked about
    return found or _common_noun(asked)


def _named(asked: str, text: str, start: int) -> Entity:
    end = start + len(text)
    words = table("english")
    last = text.split()[-1].lower()
    heads = {head: kind for kind, some in words["heads"].items() for head in some}
    if _SHIP.match(text):
        return Entity(text, start, end, "ship", text.split()[0])
    if last in heads and len(text.split()) > 1:
        return Entity(text, start, end, heads[last], text.split()[-1])
    following = re.match(r"\s+([a-z]+)", asked[end:])
    before = re.search(r"([a-z]+) of (?:the )?$", asked[:start])
    if following and following[1] in heads:
        return Entity(text, start, end, "modifier")
    if before and before[1] in ("city", "country", "state", "republic", "kingdom", "capital"):
        return Entity(text, start, end, "place")
    if before and heads.get(before[1]) == "place":
        return Entity(text, start, end, "modifier")  # "the tower of Nemor"
    return Entity(text, start, end, _listed(text) or _cued(asked, "english") or _by_form(text))


def _listed(text: str) -> str:
    """Return the kind of a name that the lists have; "" for others."""
    words = table("english")
    lists = {
        "person": words["people"], "place": (*words["countries"], *words["cities"]),
        "nature": words["nature"], "work": words["works"],
        "organisation": words["organisations"], "software": words["software"],
        "event": words["events"],
    }  # fmt: skip
    for kind, names in lists.items():
        if text in names or f"the {text}" in names:
            return kind
    return "person" if text.split()[0] in words["first"] else ""


def _cued(asked: str, language: str) -> str:
    low = f" {plain(asked)} "
    for kind, cues in table(language)["cues"].items():
        if any(re.search(rf"\b{re.escape(cue)}\b", low) for cue in cues):
            return str(kind)
    return ""


def _by_form(text: str) -> str:
    return "person" if 2 <= len(text.split()) <= 3 else "any"


def _common_noun(asked: str) -> list[Entity]:
    """Return the nouns that have an article, the last first, or else the last known word."""
    found: list[Entity] = []
    for match in _DETERMINER.finditer(asked):
        phrase = _PHRASE.match(asked, match.end())
        if phrase is None:
            continue
        words = phrase[0].split()
        ends = next((n for n, word in enumerate(words) if word in _ENDS_A_PHRASE), len(words))
        last = ends == len(words) and not re.match(r"\s+\w", asked[phrase.end() :])
        words = words[:ends]
        before = asked[: match.start()]
        if last and len(words) > 1 and (_INVERTED.search(before) or _IS_FIRST.search(before)):
            words = words[:-1]  # "does the bakery close", "is the bridge open"
        if words:
            start = match.end() + len(" ".join(words)) - len(words[-1])
            found.append(Entity(words[-1], start, start + len(words[-1]), "thing"))
    if bare := _OF_BARE.search(asked):
        start = bare.start("word")
        found.append(Entity(bare["word"], start, bare.end("word"), "thing", after=asked[:start]))
    if found:
        return found[::-1]
    # Without an article it may be a verb ("Where do you live?"): only known words are exchanged.
    for match in [*re.finditer(r"[A-Za-z][\w’'-]{2,}", asked)][::-1]:
        if match.start() > 0 and _carries(match[0]) and _class_of(match[0].lower()):
            return [Entity(match[0], match.start(), match.end(), "thing")]
    return []


def _carries(word: str) -> bool:
    # `stems` returns stop words only if nothing else is left; the marker tells them apart.
    return len(stems(f"{word} zzmarker")) > 1


_CLASSES = (
    "animals", "family", "buildings", "objects", "foods", "elements", "ideas", "qualities", "acts",
)  # fmt: skip
_CONCRETE = ("animals", "buildings", "objects", "foods", "elements")


def _class_of(noun: str) -> str:
    words = table("english")
    one = _singular(noun)
    return next((name for name in _CLASSES if noun in words[name] or one in words[name]), "")


def _singular(noun: str) -> str:
    if noun.endswith("ies") and len(noun) > 4:
        return noun[:-3] + "y"
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") else noun


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "sh", "ch", "x")) else "s")


def _english_candidates(entity: Entity, order: random.Random) -> list[str]:
    words = table("english")
    if entity.kind == "thing":
        return _common_candidates(entity, order)
    if entity.kind == "event":
        return list(words["events"])
    if entity.kind == "ship":
        return [f"{entity.head} {text}" for text in (*words["last"], *words["modifiers"])]
    if entity.head:
        modifiers = [*words["modifiers"], *words["last"]]
        return [f"{text} {entity.head}" for text in modifiers]
    if entity.kind == "modifier":
        return [*words["modifiers"], *words["last"]]
    if entity.kind == "person":
        one = len(entity.text.split()) == 1
        made = [
            f"{first} {last}"
            for first, last in zip(
                order.sample(words["first"], 24), order.sample(words["last"], 24), strict=True
            )
        ]
        if not one:
            return [*made, *order.sample(words["people"], 12)]
        pool = words["first"] if entity.text in words["first"] else words["last"]
        return [*pool, *(name for name in words["people"] if " " not in name)]
    lists = {
        "nature": words["nature"], "work": words["works"], "software": words["software"],
        "organisation": words["organisations"],
    }  # fmt: skip
    if entity.kind in lists:
        return list(lists[entity.kind])
    if entity.kind == "place":
        if entity.text in words["cities"]:
            return list(words["cities"])
        return [*words["countries"], *words["cities"][:20]]
    return [
        *order.sample(words["people"], 8), *order.sample(words["countries"], 8),
        *order.sample(words["cities"], 8), *order.sample(words["works"], 6),
        *order.sample(words["organisations"], 8), *words["last"][:8],
    ]  # fmt: skip


def _common_candidates(entity: Entity, order: random.Random) -> list[str]:
    words, noun = table("english"), entity.text.lower()
    name = "qualities" if entity.after.endswith("opposite of ") else _class_of(noun)
    many = noun.endswith("s") and _singular(noun) != noun and len(noun) > 3
    pool = (
        list(words[name])
        if name
        else [text for one in _CONCRETE for text in order.sample(words[one], 8)]
    )
    made = [_plural(text) if many and name not in ("ideas", "qualities") else text for text in pool]
    capital = entity.text[:1].isupper()
    return [text.capitalize() if capital else text for text in made]


# --- Russian -----------------------------------------------------------------------------------


def _russian(asked: str) -> list[Entity]:
    found: list[Entity] = []
    for match in _NAME.finditer(asked):
        if match.start() > 0 and is_russian(match[0]):
            found.append(_russian_entity(asked, match[0], match.start()))
    if found:
        return found[::-1]
    nouns = [
        m for m in _CYRILLIC_WORD.finditer(asked)
        if m.start() > 0 and len(m[0]) > 2 and _carries(m[0]) and not _is_verb(m[0])
    ]  # fmt: skip
    return [_russian_entity(asked, nouns[-1][0], nouns[-1].start())] if nouns else []


def _is_verb(word: str) -> bool:
    return re.search(r"(ет|ит|ют|ут|ят|ат|тся|лся|лась|лось|ал|ил|ел|ла|ли|ть)$", word) is not None


def _russian_entity(asked: str, text: str, start: int) -> Entity:
    end = start + len(text)
    before = plain(asked[:start]).replace("«", " ").split()
    for kind, heads in table("russian")["heads"].items():
        if before and _stem(before[-1]) in {_stem(head) for head in heads}:
            return Entity(text, start, end, kind, head=before[-1], case="nominative")
    case = _case_of(before, plain(text).split()[-1])
    kind = "thing" if text[:1].islower() else _cued_russian(asked, text)
    if kind == "thing" and ("зовут" in before or before[-1:] and before[-1].endswith("ого")):
        kind = "living"
    return Entity(text, start, end, kind, case=case)


def _stem(word: str) -> str:
    return stems(word)[0] if word else ""


def _cued_russian(asked: str, text: str) -> str:
    low = plain(asked)
    cues = table("russian")["cues"]
    if any(cue in low for cue in cues["person"]) or len(text.split()) == 2:
        return "person"
    for kind in ("place", "work"):
        if any(cue in low for cue in cues[kind]):
            return kind
    return "any"


def _case_of(before: Sequence[str], word: str) -> Case | None:
    """Return the case of `word` after the words `before` it; None if unclear."""
    cues = table("russian")["cues"]
    last = before[-1] if before else ""
    if " ".join(before[-2:]) in cues["accusative"]:
        return "accusative"
    for case in ("prepositional", "genitive", "dative", "instrumental", "accusative", "nominative"):
        if last in cues[case]:
            if case == "prepositional" and word.endswith(("у", "ю")):
                return "accusative"
            return case  # type: ignore[return-value]  # one of its literals
    endings: tuple[tuple[tuple[str, ...], Case], ...] = (
        (("ого", "его"), "accusative" if "зовут" in before else "genitive"),
        (("ую", "юю", "мою", "твою", "вою"), "accusative"),
        (("ая", "яя", "ый", "ое"), "nominative"),
    )
    return next((case for ends, case in endings if last.endswith(ends)), None)


def _russian_candidates(entity: Entity, order: random.Random) -> list[str]:
    words = table("russian")
    if entity.head:
        return list(words["cities"] if entity.kind == "place" else words["last"])
    if entity.kind == "person" and " " in entity.text:
        return _russian_people(entity, order)
    pools: dict[str, Sequence[str]] = {
        "person": words["first"], "work": words["works"],
        "place": (*words["countries"], *words["cities"]),
        "thing": words["things"], "living": (*words["animals"], *words["family"]),
    }  # fmt: skip
    anything = (*words["first"], *words["cities"], *words["countries"])
    return _agreeing(entity, pools.get(entity.kind, anything))


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
        gender = "m"  # only living things end so
    of_person = entity.kind == "person" or (entity.kind == "work" and last.endswith(("а", "я")))
    return [
        decline(text, entity.case, animate=of_person or text in living)
        for text in pool
        if gender is None or gender_of(text) == gender
    ]


def _russian_people(entity: Entity, order: random.Random) -> list[str]:
    words = table("russian")
    case: Case = entity.case or "nominative"
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
