"""Parse the text after `/diff`."""

from __future__ import annotations

import re

from memory.errors import MarkError
from memory.kinds import find_kind, nearest_kind
from memory.mark_validation import MarkRequest
from memory.moments import default_moment, find_moment, nearest_moment

_LINES = re.compile(r"(?:^|\s)(missed|lost|when|rule):\s*", re.IGNORECASE)
_SCOPE = re.compile(r"(?:^|\s)scope:(\S+)", re.IGNORECASE)
_ARROWS = ("->", "-->", "==>", "→", "⇒", "=")


def parse_mark(text: str) -> MarkRequest:
    """Parse `[error|surprise|hold] [kind] [note] [missed: …] [lost: …] [=> how it should sound]`.

    `scope:topic` or `scope:everywhere`, or `when: …` with a condition, may be among them, and
    `rule: …`, also several times, with what replies must keep.

    A kind is a family (`tactical`), `family/type`, or a type without further words. A missing moment is
    chosen by `memory.moments.default_moment`. Text in quotes is always a note.

    Raises:
        MarkError: a word looks like a mistyped moment or kind, or another arrow is used for `=>`.
    """
    before, arrow, after = text.partition("=>")
    rest = before.strip()
    scope = None if _is_quoted(rest) else _SCOPE.search(rest)
    if scope:
        rest = (rest[: scope.start()] + rest[scope.end() :]).strip()
    first, _, remaining = rest.partition(" ")
    moment = find_moment(first)
    if moment is not None:
        rest = remaining.strip()
    elif near := nearest_moment(first):
        raise MarkError(
            "{first!r} is not a moment; did you mean {near}? To start a note with this word, put "
            "the note in quotes",
            first=first,
            near=near,
        )
    first, _, remaining = rest.partition(" ")
    kind = find_kind(first) if first else None
    if kind is not None and (not remaining or not kind.type or "/" in first):
        rest = remaining.strip()
    else:
        kind = None
        if near := nearest_kind(first, alone=not remaining):
            raise MarkError(
                "there is no kind of difference named {first!r}; did you mean {near}? To start a "
                "note with this word, put the note in quotes",
                first=first,
                near=near,
            )
    words = rest.split()
    typed = next(iter(words[1:2] if words and find_kind(words[0]) else words), "")
    if not arrow and typed in _ARROWS:
        raise MarkError("use => before the better answer, not {typed}", typed=typed)
    note, *labelled = _LINES.split(rest)
    note = note.strip()
    if _is_quoted(note):
        note = note[1:-1].strip()
    said = list(zip((name.lower() for name in labelled[::2]), labelled[1::2], strict=True))
    lines = dict(said)
    rules = [text for name, text in said if name == "rule"]
    sounds = (after.removeprefix(" ") if after.strip() else "") if arrow else None
    of_kind = kind.moment if kind else None
    return MarkRequest(
        moment or default_moment(sounds=sounds, note=note, of_kind=of_kind),
        kind=kind.name if kind else None,
        note=note or None,
        missed=lines.get("missed"),
        lost=lines.get("lost"),
        sounds=sounds,
        scope=scope[1] if scope else None,
        condition=lines.get("when"),
        rules="\n".join(rules) if rules else None,
    )


def _is_quoted(note: str) -> bool:
    return len(note) > 1 and note[0] == note[-1] == '"'
