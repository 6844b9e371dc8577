"""The same question in other words, and questions that only look the same.

Simple rules in English and Russian, nothing learnt: a rephrasing changes case, punctuation and the
words around a question; a near-miss swaps what the question is about (another name, a word that does
not exist, another property of the same thing). Pure and the same on every machine. Other languages
get the rules of case and punctuation alone.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from memory.words import plain, stems

HELD_OUT = 2
_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_ASKS = re.compile(
    r"(what|who|whom|whose|which|where|when|why|how|do|does|did|is|are|can|could|will|would|"
    r"кто|что|как|каков|какой|какая|какое|какие|какого|какую|где|куда|откуда|когда|почему|зачем|"
    r"сколько|чем|чему|чей|чья)\b",
    re.IGNORECASE,
)
_ORDERS = re.compile(
    r"(tell me|name|give me|say|explain|describe|назови|скажи|подскажи|объясни|опиши|расскажи)\b",
    re.IGNORECASE,
)
_WHAT_IS = re.compile(
    r"(what|who) (is|are|was|were) (?P<rest>.+)|(what|who)['’]s (?P<short>.+)", re.I
)
_WHAT_IS_RUSSIAN = re.compile(r"(что такое|кто такой|кто такая) (?P<rest>.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rephrasings:
    """Other wordings of a question: those to train on and those kept back to measure."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]


@cache
def word_lists() -> dict[str, str]:
    """Return the swaps of `anchors.toml`."""
    data = tomllib.loads(files("trainer").joinpath("anchors.toml").read_text(encoding="utf-8"))
    return {str(name): str(words) for name, words in data["swaps"].items()}


def is_russian(text: str) -> bool:
    """Whether the text has Cyrillic letters."""
    return re.search(r"[а-яё]", text, re.IGNORECASE) is not None


def rephrase(asked: str) -> Rephrasings:
    """Return the rephrasings of a message; the held-out ones are not among those to train on.

    >>> rephrase("What is a quark?").held_out
    ('Can you tell me what a quark is?', 'I would like to know: what is a quark?')
    """
    core = asked.strip().rstrip("?!.… ")
    if not core:
        return Rephrasings((), ())
    low = core if _keeps_capital(core) else core[0].lower() + core[1:]
    if _ASKS.match(core) or asked.strip().endswith("?"):
        kept, candidates = _question(core, low)
    elif _ORDERS.match(core):
        kept, candidates = _order(core, low)
    else:
        kept, candidates = _remark(core, low, asked.strip()[-1:])
    known = {asked.strip()}
    held = _fresh(kept, known)[:HELD_OUT]
    return Rephrasings(tuple(_fresh(candidates, known | set(held))), tuple(held))


def _question(core: str, low: str) -> tuple[list[str], list[str]]:
    """Return (held out, training) wordings of a question."""
    if is_russian(core):
        about = _WHAT_IS_RUSSIAN.fullmatch(core)
        return (
            [f"Можешь сказать, {low}?", f"Ответь: {low}?"],
            [
                core.lower(),
                core,
                f"{core}??",
                f"Скажи, {low}?",
                f"Подскажи, {low}?",
                f"Пожалуйста, скажи: {low}?",
                f"А {low}?",
                f"Хочу знать, {low}.",
                f"Знаешь, {low}?",
                *([f"Объясни, {low}.", f"{about['rest']} — что это?"] if about else []),
            ],
        )
    shared = [core.lower(), core, f"{core}??", f"Please tell me: {low}?", f"{core}, please?"]
    shared += [f"Tell me, {low}?", f"So, {low}?", f"Do you know: {low}?"]
    found = _WHAT_IS.fullmatch(core)
    if not found:
        return [f"Can you tell me: {low}?", f"I would like to know: {low}?"], shared
    rest = found["rest"] or found["short"]
    verb = found[2] or "is"
    word = (found[1] or found[4]).lower()
    if word == "what":
        shared += [f"Tell me {rest}.", f"{rest[0].upper()}{rest[1:]}?"]
        shared += [f"What's {rest}?" if found["rest"] and verb == "is" else f"What {verb} {rest}?"]
    shared += [f"Tell me {word} {rest} {verb}.", f"Do you know {word} {rest} {verb}?"]
    return [f"Can you tell me {word} {rest} {verb}?", f"I would like to know: {low}?"], shared


def _order(core: str, low: str) -> tuple[list[str], list[str]]:
    if is_russian(core):
        return (
            [f"Можешь ответить: {low}?", f"Очень прошу, {low}."],
            [core.lower(), core, f"{core}!", f"{core}, пожалуйста.", f"Пожалуйста, {low}.",
             f"А теперь {low}."],
        )  # fmt: skip
    rest = re.sub(r"^(tell me|name|give me) ", "", core, flags=re.IGNORECASE)
    asked = [f"What is {rest}?", f"{rest[0].upper()}{rest[1:]}?"] if rest != core else []
    return (
        [f"Could you {low}?", f"Kindly {low}."],
        [
            core.lower(),
            core,
            f"{core}!",
            f"{core}, please.",
            f"Please {low}.",
            f"Now {low}.",
            *asked,
        ],
    )


def _remark(core: str, low: str, end: str) -> tuple[list[str], list[str]]:
    opening = ("Ну, ", "Так, ") if is_russian(core) else ("Well, ", "So, ")
    other = "." if end == "!" else "!"
    return (
        [f"{low}{other}", f"{opening[1]}{low}{end if end in '!.…' else '.'}"],
        [core, core.lower(), f"{core}{other}", f"{core}!!", f"{core}...", f"{opening[0]}{low}.",
         f"{core.upper()}!"],
    )  # fmt: skip


def _keeps_capital(core: str) -> bool:
    """Whether the first word is a name (or "I"), which stays capital inside a sentence."""
    first = _WORD.match(core)
    return first is not None and (first[0] == "I" or (first[0].isupper() and len(first[0]) > 1))


def _fresh(candidates: Iterable[str], known: set[str]) -> list[str]:
    return [text for text in dict.fromkeys(candidates) if text not in known]


def near_misses(asked: str, others: Sequence[str], *, count: int, seed: int) -> tuple[str, ...]:
    """Return up to `count` questions that look like `asked` and ask something else.

    `others` are the remaining marked questions: their names are swapped in too, and none of them is
    ever returned (each has an expected reply of its own).
    """
    order = random.Random(f"{seed}|{asked}")
    language = "russian" if is_russian(asked) else "english"
    swaps = word_lists()
    forbidden = {plain(text) for text in (asked, *others)}
    found: list[str] = _other_numbers(asked, order)
    content = _content(asked)
    alone = len(content) == 1 and content[0][1] == 0  # "Hello!": all it says is that word
    if content and not found:
        subject = content[-1]
        kind = "names" if subject[0][:1].isupper() and subject[1] > 0 else "things"
        borrowed = [word for text in others for word, *_ in _content(text)[-1:]]
        known = [] if alone else [*swaps[f"{kind}_{language}"].split(), *borrowed]
        real = _alike(subject[0], known, language)
        about = _alike(content[0][0], swaps[f"about_{language}"].split(), language)
        order.shuffle(real)
        order.shuffle(about)
        turns = len(content) > 1 and (
            language == "russian" or asked[content[0][2] :].startswith(" of ")
        )
        for number in range(count):
            found += [_swap(asked, subject, word) for word in real[number : number + 1]]
            found.append(_swap(asked, subject, invent(subject[0], order)))
            if turns and number < count // 4:
                found += [_swap(asked, content[0], word) for word in about[number : number + 1]]
    short = swaps[f"short_{language}"].split("|")
    order.shuffle(short)
    # A greeting's near-misses are other greetings before they are words that do not exist.
    found = [*short, *found] if alone else [*found, *short]
    fresh = [text for text in dict.fromkeys(found) if plain(text) not in forbidden]
    return tuple(fresh[:count])


def _other_numbers(asked: str, order: random.Random) -> list[str]:
    """Return `asked` with its last number changed, nearest first; nothing without a number."""
    places = list(re.finditer(r"\d+", asked))
    if not places or len(places[-1][0]) > 6:
        return []
    start, end, value = places[-1].start(), places[-1].end(), int(places[-1][0])
    values = [value + step for step in (1, -1, 2, -2, 3, 4, 5, 6, 7, 8) if value + step >= 0]
    order.shuffle(values)
    return [asked[:start] + str(other) + asked[end:] for other in values]


def _content(text: str) -> list[tuple[str, int, int]]:
    """Return (word, start, end) of the words that carry the subject; a name, if any, comes last."""
    words = [
        (found[0], found.start(), found.end())
        for found in _WORD.finditer(text)
        if len(found[0]) > 2 and _carries(found[0])
    ]
    names = [word for word in words if word[0][:1].isupper() and word[1] > 0]
    return [word for word in words if word not in names] + names


def _carries(word: str) -> bool:
    # `stems` gives empty words back only when nothing else is left; a marker shows which it was.
    return len(stems(f"{word} zzmarker")) > 1


def _alike(word: str, candidates: Sequence[str], language: str) -> list[str]:
    """Return the candidates with `word`'s capital and, in Russian, its ending."""
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


def invent(word: str, order: random.Random) -> str:
    """Return a word that does not exist, with the script, capital and ending of `word`."""
    russian = is_russian(word)
    hard, soft = ("бвгдзклмнпрст", "аеиоу") if russian else ("bdfgklmnprstvz", "aeiou")
    syllables = "".join(
        order.choice(hard) + order.choice(soft) for _ in range(order.choice((2, 3)))
    )
    ending = word[-2:].lower() if russian else order.choice(("", "n", "r", "th", "ka", "nia"))
    made = syllables + (order.choice(hard) if russian else "") + ending
    return made.capitalize() if word[:1].isupper() else made
