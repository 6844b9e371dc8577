"""What `wordings.toml` and `anchors.toml` know of how people ask: read once, asked often.

Pure; nothing here is about one model. A pattern is a wording with {x} (what is asked about) and
sometimes {v} (one word) in it.
"""

from __future__ import annotations

import random
import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from memory.text.stemming import stems


def is_russian(text: str) -> bool:
    """Whether the text has Cyrillic letters."""
    return re.search(r"[а-яё]", text, re.IGNORECASE) is not None


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))


@cache
def word_lists() -> dict[str, str]:
    """Return the swaps of `anchors.toml`."""
    return {str(name): str(words) for name, words in _table("anchors.toml")["swaps"].items()}


@cache
def framing(language: str) -> tuple[str, ...]:
    """Return the frames of a language: {q} is the question, small, with its end; {c} without it."""
    return tuple(str(_table("wordings.toml")["frames"][language]).strip().splitlines())


@cache
def _patterns(language: str) -> tuple[tuple[tuple[re.Pattern[str], str], ...], ...]:
    """Return the lines of wordings: of each, the patterns and their templates."""
    lines = str(_table("wordings.toml")["same"][language]).strip().splitlines()
    return tuple(
        tuple((_pattern(wording.strip()), wording.strip()) for wording in line.split("|"))
        for line in lines
    )


def _pattern(wording: str) -> re.Pattern[str]:
    text = re.escape(wording).replace(r"\{x\}", "(?P<x>.+)").replace(r"\{v\}", r"(?P<v>[\w-]+)")
    return re.compile(text.replace("ё", "[её]"), re.IGNORECASE)


def same_question(core: str) -> list[str]:
    """Return other wordings of a question without its end; none when no pattern fits.

    >>> same_question("Who founded the Blue Library")[:2]
    ['who started the Blue Library', 'who set up the Blue Library']
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
    """Return what a question is about, as far as its form tells; "" when it does not."""
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
    """Return a question as people type it in haste: its subject and what is asked, little else."""
    about, words = subject(core), core.split()
    if not about or len(words) < 3 or about == core:
        return []
    first = words[0].lower()
    rest = [word for word in core.replace(about, "").split() if len(stems(f"{word} zzmarker")) > 1]
    made = [f"{first} {about}?", f"{about}, {first}?"]
    if rest:
        made += [f"{' '.join(rest)} {about}", f"{about}: {' '.join(rest)}?"]
    return made


def other_questions(core: str) -> list[str]:
    """Return questions that ask something else of what `core` is about."""
    about = subject(core)
    if not about:
        return []
    language = "russian" if is_russian(core) else "english"
    shapes = str(_table("wordings.toml")["other"][language]).split("|")
    return [shape.format(x=about) for shape in shapes]


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
