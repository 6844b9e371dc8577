"""Near misses: questions that resemble a marked one and whose answers must not change.

A near miss replaces the subject of the question (by another name or a word that does not exist), or
asks something else about it (`wordings.toml`). Hand-written rules in English and Russian; the base
answers the near misses (`trainer/lessons/base_answers.py`). Pure, with the same result
on every machine.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from itertools import zip_longest

from memory.text.stemming import plain, stems
from trainer.lessons.rephrase import invent_word, is_russian, other_questions, word_lists

_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_ASKS_WHICH = re.compile(r"\b(как(ая|ой|ое|ие)|каков[аыо]?|назови(те)?)\s+$", re.IGNORECASE)


def near_misses(asked: str, others: Sequence[str], *, count: int, seed: int) -> tuple[str, ...]:
    """Return up to `count` questions that resemble `asked` and ask something else.

    `others` are the other marked questions: their names are used too, and none of them is returned,
    because each has its own expected reply.
    """
    order = random.Random(f"{seed}|{asked}")
    language = "russian" if is_russian(asked) else "english"
    swaps = word_lists()
    forbidden = {plain(text) for text in (asked, *others)}
    found: list[str] = _other_numbers(asked, order)
    content = _content(asked)
    alone = len(content) == 1 and content[0][1] == 0  # "Hello!" consists of one word
    if content and not found:
        subject = content[-1]
        kind = "names" if subject[0][:1].isupper() and subject[1] > 0 else "things"
        borrowed = [word for text in others for word, *_ in _content(text)[-1:]]
        known = [] if alone else [*swaps[f"{kind}_{language}"].split(), *borrowed]
        real = _alike(subject[0], known, language)
        about = _alike(content[0][0], swaps[f"about_{language}"].split(), language)
        order.shuffle(real)
        order.shuffle(about)
        turns = len(content) > 1 and _names_a_property(asked, content[0], language)
        for number in range(count):
            found += [_swap(asked, subject, word) for word in real[number : number + 1]]
            found.append(_swap(asked, subject, invent_word(subject[0], order)))
            if turns and number < count // 4:
                found += [_swap(asked, content[0], word) for word in about[number : number + 1]]
        # Every second one asks something else about the same subject.
        others_asked = other_questions(asked.strip().rstrip("?!.… "))
        order.shuffle(others_asked)
        found = [text for pair in zip_longest(others_asked, found) for text in pair if text]
    short = swaps[f"short_{language}"].split("|")
    order.shuffle(short)
    # For a greeting, other greetings come before words that do not exist.
    found = [*short, *found] if alone else [*found, *short]
    fresh = [text for text in dict.fromkeys(found) if plain(text) not in forbidden]
    return tuple(fresh[:count])


def _names_a_property(asked: str, word: tuple[str, int, int], language: str) -> bool:
    """Whether `word` names a property of something: "the capital of", «какая столица у»."""
    if language == "english":
        return asked[word[2] :].startswith(" of ")
    return _ASKS_WHICH.search(asked[: word[1]]) is not None


def _other_numbers(asked: str, order: random.Random) -> list[str]:
    """Return `asked` with other last numbers, nearest first; nothing without a number."""
    places = list(re.finditer(r"\d+", asked))
    if not places or len(places[-1][0]) > 6:
        return []
    start, end, value = places[-1].start(), places[-1].end(), int(places[-1][0])
    values = [value + step for step in (1, -1, 2, -2, 3, 4, 5, 6, 7, 8) if value + step >= 0]
    order.shuffle(values)
    return [asked[:start] + str(other) + asked[end:] for other in values]


def _content(text: str) -> list[tuple[str, int, int]]:
    """Return (word, start, end) of the content words; a name, if any, comes last."""
    words = [
        (found[0], found.start(), found.end())
        for found in _WORD.finditer(text)
        if len(found[0]) > 2 and _carries(found[0])
    ]
    names = [word for word in words if word[0][:1].isupper() and word[1] > 0]
    return [word for word in words if word not in names] + names


def _carries(word: str) -> bool:
    # `stems` returns stop words only if nothing else is left; the marker tells them apart.
    return len(stems(f"{word} zzmarker")) > 1


def _alike(word: str, candidates: Sequence[str], language: str) -> list[str]:
    """Return the candidates with the capitalisation of `word` and, in Russian, its ending."""
    same = [
        other
        for other in candidates
        if other.lower() != word.lower() and is_russian(other) == (language == "russian")
    ]
    if language == "russian":
        same = [other for other in same if other[-1] == word[-1].lower()] or same
    return [other.capitalize() if word[:1].isupper() else other.lower() for other in same]


def _swap(text: str, place: tuple[str, int, int], word: str) -> str:
    return text[: place[1]] + word + text[place[2] :]
