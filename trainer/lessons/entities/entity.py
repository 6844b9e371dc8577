"""An entity that a question is about, and how another one replaces it in the text. Pure."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from trainer.lessons.entities.russian_cases import GrammaticalCase


@cache
def table(language: str) -> dict[str, Any]:
    """Return the lists of a language in `entities.toml` as tuples; tables are read recursively."""

    def read(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: read(inner) for name, inner in value.items()}
        return tuple(value.split("|"))

    text = files(__package__).joinpath("entities.toml").read_text(encoding="utf-8")
    return dict(read(tomllib.loads(text)[language]))


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
    case: GrammaticalCase | None = None
    is_known: bool = True
    """Whether it is a name, or a word of a listed class."""
    after: str = ""
    """The text before it, if its kind follows from that."""

    def goes_for(self, other: Entity, mine: str, theirs: str) -> bool:
        """Whether it can replace `other`; `mine` and `theirs` are their questions."""
        articles = [
            text[: one.start].lower().endswith("the ")
            for one, text in ((self, mine), (other, theirs))
        ]
        alike = (
            self.kind == other.kind and self.case == other.case and not (self.head or other.head)
        )
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
