"""Tell whether an answer to a shipped prompt is right, where the right answer is known.

Capitals, days and months have a table (`right_answers.toml`), sums are computed. Pure.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from memory.text.stemming import plain, stems

_SUM = re.compile(r"(?<!\d)(\d{1,3})\s*(\+|-|minus|минус|плюс|plus)\s*(\d{1,3})(?!\d)")
_ADD = re.compile(r"(?:add|сложи) (\d{1,3}) (?:and|и) (\d{1,3})\b")


def is_right(asked: str, reply: str) -> bool | None:
    """Whether `reply` has the right answer to `asked`; None if the right answer is not known.

    >>> is_right("What is the capital of Peru?", "It is Lima."), is_right("4 + 4", "9")
    (True, False)
    """
    wanted = right_answer(asked)
    if not wanted:
        return None
    said = set(stems(reply)) if reply.strip() else set()
    return set(stems(wanted)) <= said


def right_answer(asked: str) -> str:
    """Return the right answer to `asked`; "" if it is not known."""
    text = plain(asked)
    if found := _ADD.search(text):
        return str(int(found[1]) + int(found[2]))
    if found := _SUM.search(text):
        one, other = int(found[1]), int(found[3])
        return str(one + other if found[2] in ("+", "plus", "плюс") else one - other)
    words = set(re.findall(r"\w+(?:-\w+)*", text))
    for name, cues in _asks().items():
        if any(re.search(rf"\b{cue}\b", text) for cue in cues):
            return next((answer for key, answer in _tables()[name].items() if key in words), "")
    return ""


@cache
def _file() -> dict[str, dict[str, str]]:
    text = files(__package__).joinpath("right_answers.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def _asks() -> dict[str, tuple[str, ...]]:
    return {name: tuple(cues.split("|")) for name, cues in _file()["asks"].items()}


@cache
def _tables() -> dict[str, dict[str, str]]:
    return {
        name: dict(_pairs(f"{_file()['english'][name]}|{_file()['russian'][name]}"))
        for name in _file()["asks"]
    }


def _pairs(line: str) -> Iterable[tuple[str, str]]:
    for pair in line.split("|"):
        key, answer = pair.split("=")
        yield plain(key), answer
