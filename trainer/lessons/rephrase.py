"""Rephrase a question.

Hand-written rules in English and Russian: a rephrasing changes case, punctuation, the words around a
question, and its wording if `wordings.toml` has others. A pattern there is a wording with {x} (what is
asked about) and sometimes {v} (one word). Other languages get the rules of case and punctuation only.
Pure, with the same result on every machine.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from memory.text.stemming import stems

HELD_OUT = 2
OTHERS, FRAMES, ODD_FRAMES = 7, 8, 6
"""Numbers of other wordings, of frames around a question, and of frames of random words. Training with
frames makes the model ignore what surrounds a question."""
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


@dataclass(frozen=True, slots=True)
class Rephrasings:
    """Other wordings of a question: those to train on, and those held out for measuring."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]


def rephrase(asked: str, *, most: int = 100, seed: int = 0) -> Rephrasings:
    """Return the rephrasings of a message, with at most `most` to train on.

    >>> rephrase("What is a quark?").held_out
    ('Can you tell me what a quark is?', 'I would like to know: what is a quark?')
    """
    core = asked.strip().rstrip("?!.… ")
    if not core:
        return Rephrasings((), ())
    low = core if _keeps_capital(core) else core[0].lower() + core[1:]
    order = random.Random(f"{seed}|{asked}")
    if _ASKS.match(core) or asked.strip().endswith("?"):
        kept = _held_out_questions(core, low)
        candidates = [core.lower(), core, *_reworded(core, low, order, "?"), f"{core}??"]
    elif _ORDERS.match(core):
        kept = _held_out_orders(core, low)
        candidates = [core.lower(), core, *_reworded(core, low, order, "."), f"{core}!"]
    else:
        kept, candidates = _remark(core, low, asked.strip()[-1:])
        candidates = [*candidates, *_reworded(core, low, order, asked.strip()[-1:], frames=1)]
    known = {asked.strip()}
    held = _fresh(kept, known)[:HELD_OUT]
    training = _fresh(candidates, known | set(held))
    if len(training) > most:  # drawn from all sorts, in their order
        drawn = set(order.sample(range(len(training)), most))
        training = [text for place, text in enumerate(training) if place in drawn]
    return Rephrasings(tuple(training), tuple(held))


def _reworded(
    core: str, low: str, order: random.Random, end: str, *, frames: int = FRAMES
) -> list[str]:
    """Return other wordings of a question, and some of them inside frames."""
    others = [_capital(text) for text in same_question(core)]
    order.shuffle(others)
    others = others[:OTHERS]
    made = [text if text[-1] in ".?!" else f"{text}?" for text in others]
    shapes = list(frames_of("russian" if is_russian(core) else "english"))
    order.shuffle(shapes)
    # Frames before and after alternate: the model learns to ignore each separately.
    after = [shape for shape in shapes if shape.startswith("{c}")]
    ahead = [shape for shape in shapes if not shape.startswith("{c}")]
    shapes = [shape for pair in zip(ahead, after, strict=False) for shape in pair]
    for number, shape in enumerate(shapes[:frames]):
        # Every third frame is around another wording, so that both vary at once.
        text = others[number // 3] if number % 3 == 2 and number // 3 < len(others) else core
        made.append(_framed(shape, text, end))
    made += telegraphic(core)
    made += [
        _framed(_odd_frame(core, order), core, end) for _ in range(ODD_FRAMES if frames > 1 else 0)
    ]
    return made


def _odd_frame(core: str, order: random.Random) -> str:
    """Return a frame of random words, some of which do not exist."""
    language = "russian" if is_russian(core) else "english"
    known = f"{word_lists()[f'filler_{language}']}".split()
    words = [order.choice(known) for _ in range(order.choice((1, 2, 2, 3, 4)))]
    if order.random() < 0.3:
        words[order.randrange(len(words))] = invent_word(words[0].lower(), order)
    text = " ".join(words)
    if order.random() < 0.5:
        return f"{{c}}, {text}?"
    return f"{_capital(text)}{order.choice((',', ':', ',', ' —'))} {{q}}"


def _framed(shape: str, text: str, end: str) -> str:
    text = text.rstrip(".?!")
    small = text if _keeps_capital(text) else text[0].lower() + text[1:]
    return shape.format(q=f"{small}{end if end in '.?!' and end else '.'}", c=text)


def _held_out_questions(core: str, low: str) -> list[str]:
    if is_russian(core):
        return [f"Можешь сказать, {low}?", f"Ответь: {low}?"]
    found = _WHAT_IS.fullmatch(core)
    if not found:
        return [f"Can you tell me: {low}?", f"I would like to know: {low}?"]
    rest = found["rest"] or found["short"]
    verb, word = found[2] or "is", (found[1] or found[4]).lower()
    return [f"Can you tell me {word} {rest} {verb}?", f"I would like to know: {low}?"]


def _held_out_orders(core: str, low: str) -> list[str]:
    if is_russian(core):
        return [f"Можешь ответить: {low}?", f"Очень прошу, {low}."]
    return [f"Could you {low}?", f"Kindly {low}."]


def _remark(core: str, low: str, end: str) -> tuple[list[str], list[str]]:
    """Return (held out, training) wordings of a text that is not a question."""
    opening = ("Ну, ", "Так, ") if is_russian(core) else ("Well, ", "So, ")
    other = "." if end == "!" else "!"
    return (
        [f"{low}{other}", f"{opening[1]}{low}{end if end in '!.…' else '.'}"],
        [core, core.lower(), f"{core}{other}", f"{core}!!", f"{core}...", f"{opening[0]}{low}.",
         f"{core.upper()}!"],
    )  # fmt: skip


def _keeps_capital(core: str) -> bool:
    """Whether the first word is a name (or "I") and keeps its capital inside a sentence."""
    first = _WORD.match(core)
    return first is not None and (first[0] == "I" or (first[0].isupper() and len(first[0]) > 1))


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _fresh(candidates: Iterable[str], known: set[str]) -> list[str]:
    return [text for text in dict.fromkeys(candidates) if text not in known]


# --- patterns and word lists -----------------------------------------------------------------


def is_russian(text: str) -> bool:
    """Whether the text contains Cyrillic letters."""
    return re.search(r"[а-яё]", text, re.IGNORECASE) is not None


def count_content_words(text: str) -> int:
    """Return the number of words in a text that are not stop words."""
    # `stems` returns stop words only if nothing else is left; the marker prevents that.
    return len(stems(f"{text} zzmarker")) - 1


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))


@cache
def word_lists() -> dict[str, str]:
    """Return the word lists of `word_lists.toml`."""
    return {str(name): str(words) for name, words in _table("word_lists.toml").items()}


@cache
def frames_of(language: str) -> tuple[str, ...]:
    """Return the frames of a language.

    {q} is the question in lower case with its end mark, {c} without it.
    """
    return tuple(str(_table("wordings.toml")["frames"][language]).strip().splitlines())


@cache
def _patterns(language: str) -> tuple[tuple[tuple[re.Pattern[str], str], ...], ...]:
    """Return the lines of wordings, each with its patterns and templates."""
    lines = str(_table("wordings.toml")["same"][language]).strip().splitlines()
    return tuple(
        tuple((_pattern(wording.strip()), wording.strip()) for wording in line.split("|"))
        for line in lines
    )


def _pattern(wording: str) -> re.Pattern[str]:
    text = re.escape(wording).replace(r"\{x\}", "(?P<x>.+)").replace(r"\{v\}", r"(?P<v>[\w-]+)")
    return re.compile(text.replace("ё", "[её]"), re.IGNORECASE)


def same_question(core: str) -> list[str]:
    """Return other wordings of a question without its end mark; none if no pattern matches.

    >>> same_question("Who founded the Blue Library")[:2]
    ['who set up the Blue Library', 'who created the Blue Library']
    """
    found = _match(core)
    if found is None:
        return []
    values, used, line = found
    return [
        wording.format(**values)
        for wording in line
        if wording != used and set(re.findall(r"{(\w)}", wording)) <= set(values)
    ]


def _match(core: str) -> tuple[dict[str, str], str, list[str]] | None:
    for line in _patterns("russian" if is_russian(core) else "english"):
        for pattern, wording in line:
            if found := pattern.fullmatch(core):
                return found.groupdict(), wording, [text for _, text in line]
    return None


_STARTS = re.compile(r"\b(the|an?|my|your|our|his|her)\b\s", re.IGNORECASE)


def subject(core: str) -> str:
    """Return what a question is about, judging by its form; "" if unknown."""
    found = _match(core)
    if found is not None and found[0].get("x"):
        text = found[0]["x"]
    elif starts := _STARTS.search(core):
        text = core[starts.start() :]
    elif name := re.search(r"(?<=\s)[A-ZА-ЯЁ]\w+.*", core):
        text = name[0]
    else:
        return ""
    return text.strip(' .?!«»"')


def telegraphic(core: str) -> list[str]:
    """Return hasty wordings of a question: its subject and what is asked, little else."""
    about, words = subject(core), core.split()
    if not about or len(words) < 3 or about == core:
        return []
    first = words[0].lower()
    rest = [word for word in core.replace(about, "").split() if count_content_words(word)]
    made = [f"{first} {about}?", f"{about}, {first}?"]
    if rest:
        made += [f"{' '.join(rest)} {about}", f"{about}: {' '.join(rest)}?"]
    return made


def other_questions(core: str) -> list[str]:
    """Return questions that ask something else about the subject of `core`."""
    about = subject(core)
    if not about:
        return []
    language = "russian" if is_russian(core) else "english"
    shapes = str(_table("wordings.toml")["other"][language]).split("|")
    return [shape.format(x=about) for shape in shapes]


def invent_word(word: str, order: random.Random) -> str:
    """Return a word that does not exist, with the script, capitalisation and ending of `word`."""
    russian = is_russian(word)
    hard, soft = ("бвгдзклмнпрст", "аеиоу") if russian else ("bdfgklmnprstvz", "aeiou")
    syllables = "".join(
        order.choice(hard) + order.choice(soft) for _ in range(order.choice((2, 3)))
    )
    ending = word[-2:].lower() if russian else order.choice(("", "n", "r", "th", "ka", "nia"))
    made = syllables + (order.choice(hard) if russian else "") + ending
    return made.capitalize() if word[:1].isupper() else made
