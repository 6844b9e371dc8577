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
MIN_NAMES_PER_KIND = 16
"""Least number of names of the same kind; missing ones are invented."""


def entities(asked: str) -> list[Entity]:
    """Return what `asked` is about, the most telling first; none if its form does not say."""
    return russian.find(asked) if is_russian(asked) else english.find(asked)


def others_like(
    entity: Entity, asked: str, known: Sequence[str], order: random.Random
) -> list[str]:
    """Return other names or things of the kind of `entity`, to put in its place.

    `known` are names that other questions are about, which come first. Names that do not exist are
    mixed in.
    """
    of_language = russian if is_russian(asked) else english
    listed = of_language.candidates(entity, order)
    order.shuffle(listed)
    found = [text for text in known if is_russian(text) == is_russian(asked)]
    order.shuffle(found)
    made: list[str] = []
    for number, text in enumerate((*found, *listed)):
        if number % INVENTED == INVENTED - 1:
            made.append(_invented(entity, order))
        made.append(text)
    made += [_invented(entity, order) for _ in range(max(0, MIN_NAMES_PER_KIND - len(made)))]
    return [text for text in dict.fromkeys(made) if plain(text) != plain(entity.text)]


def _invented(entity: Entity, order: random.Random) -> str:
    words = entity.text.split()
    if entity.kind == "ship":
        return f"{entity.head} {invent_word('Name', order)}"
    if entity.head and len(words) > 1:
        return f"{invent_word(words[0], order)} {words[-1]}"
    return invent_word(re.sub(r"\W", "", words[-1]) or "Name", order)
