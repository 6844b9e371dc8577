"""The thirty kinds of difference, read from `kinds.toml`.

A kind is written `family` or `family/type`; a type alone is enough where its name is unique. English
and Russian names are understood.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from memory.errors import MarkError


@dataclass(frozen=True, slots=True)
class Kind:
    """One family (`type` is empty) or one type of a family."""

    family: str
    type: str
    russian: str
    shows: str
    ask: str = ""

    @property
    def name(self) -> str:
        """The way it is stored: `tactical` or `tactical/fact`."""
        return f"{self.family}/{self.type}" if self.type else self.family


@cache
def kinds() -> dict[str, Kind]:
    """Return every family and type by its stored name, in the order of the file."""
    table = tomllib.loads(Path(__file__).with_name("kinds.toml").read_text(encoding="utf-8"))
    found: dict[str, Kind] = {}
    for family, body in table.items():
        found[family] = Kind(family, "", body["ru"], body["shows"])
        for name, entry in body.items():
            if isinstance(entry, dict):
                kind = Kind(family, name, entry["ru"], entry["shows"], entry["ask"])
                found[kind.name] = kind
    return found


@cache
def _names() -> dict[str, str]:
    names: dict[str, str] = {}
    for kind in kinds().values():
        names[kind.name] = kind.name
        names.setdefault(kind.type or kind.family, kind.name)
        names.setdefault(kind.russian, kind.name)
    return names


def find_kind(text: str) -> Kind | None:
    """Return the kind that `text` names exactly (any case), or None."""
    name = _names().get(text.strip().lower())
    return kinds()[name] if name else None


def require_kind(text: str) -> Kind:
    """Return the kind that `text` names.

    Raises:
        MarkError: there is no such kind; the message offers the nearest ones.
    """
    if kind := find_kind(text):
        return kind
    near = get_close_matches(text.lower(), _names(), n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else "`discern memory kinds` lists all thirty"
    raise MarkError(f"there is no kind of difference called {text!r}; {hint}")
