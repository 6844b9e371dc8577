"""Near misses: questions that resemble a marked one and whose answers must not change.

Three sorts: the same question about another person, place, work, thing or number; another question
about the same subject; and its negation. They are made from hand-written lists and templates
(`entities.toml`) and from the names that the user's other questions are about, in English and Russian.
The base then tells which of them are natural (`trainer/lessons/anchors/likelihood.py`), and answers
them (`trainer/lessons/anchors/base_answers.py`). Pure, with the same result on every machine.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Literal

from memory.text.stemming import plain
from trainer.lessons.entities.entity import Entity, table
from trainer.lessons.entities.finder import entities, others_like
from trainer.lessons.rephrase import (
    invent_word,
    is_russian,
    other_questions,
    rephrase,
    subject,
    word_lists,
)

OTHER_VERBS = 2
"""Number of other verbs in questions about who did something."""
Sort = Literal["entity", "relation", "negation", "other"]

_IS = re.compile(r"(?P<head>(?:what|who|which [\w ]+?) (?:is|are|was|were))(?= )", re.IGNORECASE)
_WHO_DID = re.compile(r"(?P<head>who|which \w+) (?P<verb>[a-z]+)(?= )", re.IGNORECASE)
_ARTICLE = re.compile(
    r"\b(the|an?|my|your|our|his|her|their|this|that)\s+((?:(?!of )[a-z][\w-]*\s+){0,2})$",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"\b(i|you|we|they|he|she|it|do|does|did|can|should|will|would|is|are)\b", re.IGNORECASE
)
_VERB_NEXT = re.compile(
    r"(?P<head>кто|что|где|когда|куда|откуда|почему|чем|кем)"
    r"(?= [а-яё]+(?:[её]т|ит|ют|ут|ят|ат|тся|ал|ил|ел|ла|ли|лся|лась)\b)",
    re.IGNORECASE,
)


_PREPOSITION = re.compile(
    r"\s+(?:on|in|at|of|from|for|near|under|during|with|на|в|во|из|от|у|для|под|о|об)"
    r"(?:\s+(?:the|an?|my|our))?\s+$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A question that resembles a marked one, and how it differs from it."""

    text: str
    sort: Sort


def near_misses(
    asked: str, others: Sequence[str], *, count: int, seed: int, talk: Sequence[str] = ()
) -> tuple[NearMiss, ...]:
    """Return up to `count` questions that resemble `asked` and ask something else.

    Two thirds ask the same about something else. `others` are the other marked questions, which are
    never returned because each has its own expected reply, and `talk` the user's unmarked ones; the
    subjects of both are used as well.
    """
    order = random.Random(f"{seed}|{asked}")
    forbidden = {plain(text) for text in (asked, *others)}
    swapped = _entity_exchanged(asked, [*others, *talk], order)
    verbs = [NearMiss(text, "relation") for text in _with_other_verbs(asked, order)]
    related = [*verbs, *_other_relations(asked, order)]
    denied = [NearMiss(text, "negation") for text in _negated(asked)]
    shorter = [NearMiss(text, "relation") for text in _without_place(asked)]
    mixed: list[NearMiss | None] = []
    # Two of three ask about something else; the hardest come early: the question with another verb,
    # its negation, and that without its name ("What colour is the sky?" for that on Mars).
    pairs = list(zip_longest(swapped[::2], swapped[1::2]))
    for number, ((one, two), more) in enumerate(
        zip_longest(pairs, related, fillvalue=(None, None))
    ):
        mixed += [one, two, more if isinstance(more, NearMiss) else None]
        if number == 1:
            mixed += [*denied, *shorter]
    found = [item for item in mixed if item is not None]
    short = _short(asked, order)
    # A greeting has no entity to exchange: other greetings resemble it.
    found = [*found, *short] if swapped else [*short, *found, *denied]
    fresh: dict[str, NearMiss] = {}
    for item in found:
        if plain(item.text) not in forbidden:
            fresh.setdefault(plain(item.text), item)
    return tuple(fresh.values())[:count]


def _entity_exchanged(asked: str, talk: Sequence[str], order: random.Random) -> list[NearMiss]:
    """Return the question about other entities of the same kind, and with other numbers."""
    rows: list[list[str]] = []
    for number, entity in enumerate(entities(asked)[:2]):
        if number and not entity.is_known:
            continue
        known = [
            other.text
            for text in talk
            for other in entities(text)[:1]
            if other.goes_for(entity, text, asked)
        ]
        likes = others_like(entity, asked, list(dict.fromkeys(known)), order)
        rows.append(_in_several_wordings(asked, entity, likes, order))
    if numbers := _other_numbers(asked, order):
        rows.insert(0, numbers)
    if len(rows) > 1:  # the entity asked about last is exchanged twice as often
        mixed = zip_longest(rows[0][::2], rows[0][1::2], rows[1])
        return [NearMiss(text, "entity") for trio in mixed for text in trio if text]
    return [NearMiss(text, "entity") for text in (rows[0] if rows else [])]


def _in_several_wordings(
    asked: str, entity: Entity, likes: Sequence[str], order: random.Random
) -> list[str]:
    """Return the question about each of `likes`, every second one in another wording.

    A lesson is trained in many wordings, and must not apply to something else in any of them.
    """
    wordings = [text for text in rephrase(asked).training if entity.text in text]
    order.shuffle(wordings)
    made: list[str] = []
    for number, like in enumerate(likes):
        text, there = asked, entity
        if number % 2 and wordings:
            text = wordings[number // 2 % len(wordings)]
            start = text.index(entity.text)
            there = replace(entity, start=start, end=start + len(entity.text))
        made.append(there.exchanged(text, like))
    return made


def _other_numbers(asked: str, order: random.Random) -> list[str]:
    """Return `asked` with other last numbers, nearest first; nothing without a number."""
    places = list(re.finditer(r"\d+", asked))
    if not places or len(places[-1][0]) > 6:
        return []
    start, end, value = places[-1].start(), places[-1].end(), int(places[-1][0])
    values = [value + step for step in (1, -1, 2, -2, 3, 4, 5, 6, 7, 8) if value + step >= 0]
    order.shuffle(values)
    return [asked[:start] + str(other) + asked[end:] for other in values]


def _other_relations(asked: str, order: random.Random) -> list[NearMiss]:
    """Return other questions about the subject of `asked`."""
    about = entities(asked)[:1]
    if about and about[0].after:
        return []
    if not about:
        core = asked.strip().rstrip("?!.… ")
        if _CLAUSE.search(subject(core)):
            return []  # "should I buy this week" is no subject
        return [NearMiss(text, "relation") for text in other_questions(core)]
    entity = about[0]
    shapes = list(_relations_of(entity, asked))
    order.shuffle(shapes)
    name = _with_article(entity, asked)
    made = [shape.format(x=name) for shape in shapes]
    return [NearMiss(text, "relation") for text in made if plain(text) != plain(asked)]


def _relations_of(entity: Entity, asked: str) -> tuple[str, ...]:
    """Return the questions, with {x} for the name, that are asked about its kind."""
    if is_russian(asked):
        known: dict[str, tuple[str, ...]] = table("russian")["relations"]
        if entity.head and entity.case == "nominative" and entity.kind != "person":
            return ()  # the word before the name is declined instead
        if entity.kind == "person" and entity.case == "nominative":
            return known["person"]
        return known[entity.case] if entity.case else ()
    of_kind: dict[str, tuple[str, ...]] = table("english")["relations"]
    kinds = {"nature": "place", "thing": "any", "modifier": "any", "ship": "any"}
    kind = kinds.get(entity.kind, entity.kind)
    return of_kind.get(kind, of_kind["any"])


def _with_article(entity: Entity, asked: str) -> str:
    """Return the entity with its article and adjectives."""
    text, ahead = entity.text, asked[: entity.start]
    if is_russian(asked):
        return f"{entity.head} {text}" if entity.head else text
    if entity.kind == "event":
        return f"the {text.removeprefix('the ')}"
    of_place = re.search(r"\b(the \w+ of )$", ahead)
    if entity.kind == "modifier":
        noun = None if of_place else re.match(r"\s+[a-z]+", asked[entity.end :])
        text += noun[0] if noun else ""
        ahead = ahead if not of_place else ahead[: of_place.start()] + "the "
        text = of_place[1].removeprefix("the ") + text if of_place else text
    if (before := _ARTICLE.search(ahead)) and (
        entity.kind in ("thing", "modifier") or not before[2]
    ):
        return f"{before[1].lower()} {before[2]}{text}"
    return text


def _negated(asked: str) -> list[str]:
    """Return the negation of a question whose form allows it."""
    text = asked.strip()
    if found := _VERB_NEXT.match(text):
        return [f"{found['head']} не{text[found.end() :]}"]
    if found := _IS.match(text):
        return [f"{found['head']} not{text[found.end() :]}"]
    if (found := _WHO_DID.match(text)) and (base := _base_form(found["verb"])):
        return [f"{found['head']} {base}{text[found.end() :]}"]
    return []


def _without_place(asked: str) -> list[str]:
    """Return the question without a name at its end and the preposition before it."""
    for entity in entities(asked)[-1:]:
        before, after = asked[: entity.start], asked[entity.end :]
        found = _PREPOSITION.search(before)
        if found and not re.search(r"\w", after) and len(before[: found.start()].split()) > 2:
            return [before[: found.start()] + after]
    return []


def _with_other_verbs(asked: str, order: random.Random) -> list[str]:
    """Return what somebody else did with it: "Who painted Hamlet?" for its writer."""
    found = _WHO_DID.match(asked.strip()) or _VERB_NEXT.match(asked.strip())
    if found is None or not entities(asked):
        return []
    head, rest = found["head"], asked.strip()[found.end() :]
    if is_russian(asked):
        verb = re.match(r" [а-яё]+(?:ал|ил|ел)(?= )", rest)
        if verb is None or plain(head) != "кто":
            return []
        rest = rest[verb.end() :]
    elif plain(head) != "who" or not _base_form(found["verb"]).startswith("did"):
        return []
    verbs: tuple[str, ...] = table("russian" if is_russian(asked) else "english")["done"]
    return [f"{head} {verb}{rest}" for verb in order.sample(verbs, OTHER_VERBS)]


def _base_form(verb: str) -> str:
    """Return "did not write" for "wrote", "does not keep" for "keeps"; "" if it is not a verb."""
    words = table("english")
    past = dict(pair.split(":") for pair in words["past"])
    if verb in past:
        return f"did not {past[verb]}"
    if verb.endswith("ed") and len(verb) > 4:
        root = verb[:-2]
        if verb.endswith("ied"):
            root = f"{verb[:-3]}y"
        elif verb[:-1].endswith(words["keeps_e"]):
            root = verb[:-1]
        elif root[-1] == root[-2] and root[-1] not in "sl":
            root = root[:-1]
        return f"did not {root}"
    if verb.endswith("s") and verb not in ("is", "was", "has", "does") and not verb.endswith("ss"):
        root = verb[:-3] + "y" if verb.endswith("ies") else verb[:-1]
        if verb.endswith(("shes", "ches", "sses", "xes")):
            root = verb[:-2]
        return f"does not {root}"
    return ""


def _short(asked: str, order: random.Random) -> list[NearMiss]:
    """Return short messages; for a text without an entity, also the text with an invented word."""
    language = "russian" if is_russian(asked) else "english"
    short = word_lists()[f"short_{language}"].split("|")
    order.shuffle(short)
    made = [NearMiss(text, "other") for text in short]
    words = [
        word
        for word in re.findall(r"[^\W\d_]{3,}", asked)
        if word.lower() not in table("english")["times"]
    ]
    if words and not entities(asked):
        swapped = [asked.replace(words[-1], invent_word(words[-1], order)) for _ in range(4)]
        made += [NearMiss(text, "other") for text in swapped]
    return made
