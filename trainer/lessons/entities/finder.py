"""Find the entities that a question is about, and others of the same kind.

A name is recognised by its capital, a thing by its article (English) or as the last noun (Russian); the
words around it tell whether it is a person, a place, a work and so on (`entities.toml`). Exchanged
Russian words keep case and gender. Pure, with the same result on every machine.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from memory.text.stemming import plain
from trainer.lessons.entities import english, russian
from trainer.lessons.entities.entity import Entity
from trainer.lessons.rephrase import invent_word, is_russian

INVENTED = 3
"""One of this many names of the same kind does not exist."""
ALIKE = 2
"""One name with a single other word comes with this many names of the same kind."""
MIN_NAMES_PER_KIND = 16
"""Least number of names of the same kind; missing ones are invented."""


def entities(asked: str) -> list[Entity]:
    """Return what `asked` is about, the most telling first; none if its form does not say."""
    return russian.find(asked) if is_russian(asked) else english.find(asked)


def others_like(
    entity: Entity, asked: str, known: Sequence[str], order: random.Random
) -> list[str]:
    """Return other names or things of the kind of `entity`, to put in its place.

    `known` are names that other questions are about, which come first. Names that do not exist and
    names that differ from it in a single word, with which an adapter confuses it first, are mixed in.
    """
    of_language = russian if is_russian(asked) else english
    listed = of_language.candidates(entity, order)
    order.shuffle(listed)
    found = [text for text in known if is_russian(text) == is_russian(asked)]
    order.shuffle(found)
    made: list[str] = []
    alike = of_language.alike(entity, order)
    for number, text in enumerate((*found, *listed)):
        if number % INVENTED == INVENTED - 1:
            made.append(_invented(entity, order))
        made.append(text)
        if number % ALIKE == 0 and alike:
            made.append(alike.pop(0))
    made += [_invented(entity, order) for _ in range(max(0, MIN_NAMES_PER_KIND - len(made)))]
    return [text for text in dict.fromkeys(made) if plain(text) != plain(entity.text)]


def _invented(entity: Entity, order: random.Random) -> str:
    words = entity.text.split()
    if entity.kind == "ship":
        return f"{entity.head} {invent_word('Name', order)}"
    if entity.head and len(words) > 1:
        return f"{invent_word(words[0], order)} {words[-1]}"
    return invent_word(re.sub(r"\W", "", words[-1]) or "Name", order)
