"""Differences that pull one question in two directions, found before anything is trained.

Two differences conflict when the same question, or another wording of it, is to be answered in two
ways. The newer one counts, unless the person chose by superseding it
(`Memory.supersede`): what was superseded no longer teaches and so is not seen here. Two marked spans
of one reply do not conflict while they do not overlap. Pure; refuses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memory.difference import Difference
from memory.words import plain, stems
from trainer.rephrase import rephrase
from trainer.spans import expected_reply, replaces_span
from trainer.standing import stands_alone, talk
from trainer.wordings import same_question

_NEGATIVE = "not no never don't isn't doesn't can't не нет никогда ни без"
_NEGATIONS = frozenset(_NEGATIVE.split())
_NUMBER = re.compile(r"\d+")
# Words that ask for the same: two questions are only nearly the same where they ask alike.
_ASKING = {
    "what": "what which name tell give say что какой какая какое какие какого какую каков назови скажи",
    "who": "who whom whose кто кого кому кем чей чья чьё",
    "where": "where где куда откуда",
    "when": "when когда",
    "why": "why почему зачем",
    "how": "how как сколько",
}
_CLASS = {word: kind for kind, words in _ASKING.items() for word in words.split()}


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two differences that want two answers to one question; `newer` is the one that counts."""

    older: str
    newer: str
    sentence: str


def siblings_of(
    difference: Difference, differences: Sequence[Difference]
) -> tuple[Difference, ...]:
    """Return the other differences that replace a span of the same reply."""
    return tuple(
        other
        for other in differences
        if other.turn == difference.turn
        and other.id != difference.id
        and other.teaches
        and replaces_span(other)
    )


def find_conflicts(differences: Sequence[Difference]) -> tuple[Conflict, ...]:
    """Return every pair that conflicts; `differences` are the journal's, oldest first.

    A difference that already lost to a newer one is not compared again. Two marks that expect the
    same reply agree, and two that stand in different talks and mean nothing alone do not meet.
    """
    found: list[Conflict] = []
    owners: dict[tuple[str, object], Difference] = {}
    keys: dict[str, set[tuple[str, object]]] = {}
    teaching = [item for item in differences if item.teaches]
    replies = {item.id: _wanted(item, teaching) for item in teaching}
    for newer in teaching:
        mine = keys[newer.id] = _keys(newer)
        for key in mine:
            older = owners.get(key)
            if (
                older is None
                or older.id == newer.id
                or _agree(replies[older.id], replies[newer.id])
            ):
                continue
            found.append(_conflict(older, newer, replies))
            for lost in keys[older.id]:
                if owners.get(lost) is older:
                    del owners[lost]
        for key in mine:
            owners[key] = newer
    return tuple(found)


def current_differences(
    differences: Sequence[Difference],
) -> tuple[list[Difference], dict[str, str]]:
    """Return those that teach, without older ones that a newer one replaces, oldest first; and the
    map from each replaced id to the one that counts.

    Replaced are the older sides of conflicts, and a mark that a newer one repeats.
    """
    kept = {item.id: item for item in differences if item.teaches}
    replaced = {conflict.older: conflict.newer for conflict in find_conflicts(differences)}
    seen: dict[tuple[str, str, str], str] = {}
    for item in kept.values():
        same = (_asked(item), _context(item), str(_wanted(item, list(kept.values()))))
        if item.id not in replaced:
            if older := seen.get(same):
                replaced[older] = item.id
            seen[same] = item.id
    for older in replaced:
        while replaced[older] in replaced:
            replaced[older] = replaced[replaced[older]]
    return [item for item in kept.values() if item.id not in replaced], replaced


def _wanted(item: Difference, teaching: Sequence[Difference]) -> tuple[str | None, str | None]:
    """Return (the reply it wants, the naming it wants), each None where it wants none."""
    reply = expected_reply(item, siblings_of(item, teaching))
    named = item.contrast.missed or item.contrast.lost
    naming = f"{item.contrast.missed} {item.contrast.lost} {item.contrast.sounds}"
    if item.span is not None:
        naming = ""  # asked about its own span, which another difference is not
    return (plain(reply) if reply else None, plain(naming) if named else None)


def _agree(one: tuple[str | None, str | None], other: tuple[str | None, str | None]) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def _asked(item: Difference) -> str:
    return plain(item.asked).rstrip("?!.… ")


def _context(item: Difference) -> str:
    """Return what stood before, for a question that means nothing without it; else ""."""
    if stands_alone(item.asked, item.before):
        return ""
    return "\n".join(plain(message.content) for message in talk(item.before)) or "\n"


def _keys(item: Difference) -> set[tuple[str, object]]:
    """Return what the questions of a difference are found by: its wordings, and what they ask."""
    place = _context(item)
    core = item.asked.strip().rstrip("?!.… ")
    # Hasty wordings ("who Zubrowka?") ask too little to tell two questions apart: not compared.
    made = (item.asked, *same_question(core), *rephrase(item.asked, most=0).held_out)
    texts = {plain(text).rstrip("?!.… ") for text in made}
    keys: set[tuple[str, object]] = {(place, text) for text in texts if text}
    content = frozenset(stems(item.asked))
    first = [word for word in re.findall(r"[\w'’]+", plain(item.asked)) if word in _CLASS]
    # One content word ("What is a quark?") is said in too many ways to compare by words alone.
    if len(content) > 1 and first:
        words = plain(item.asked).split()
        negated = any(word.strip(".,!?") in _NEGATIONS for word in words)
        order = tuple(_NUMBER.findall(item.asked))
        keys.add((place, (_CLASS[first[0]], content, order, negated)))
    return keys


def _conflict(
    older: Difference,
    newer: Difference,
    replies: dict[str, tuple[str | None, str | None]],
) -> Conflict:
    same = _asked(older) == _asked(newer)
    meet = "the same question" if same else f"{_cut(older.asked)} and {_cut(newer.asked)}"
    ways = " / ".join(
        _cut(replies[item.id][0] or replies[item.id][1] or "") for item in (older, newer)
    )
    return Conflict(
        older.id,
        newer.id,
        f"{older.id[:8]} and {newer.id[:8]} want two answers to {meet}: {ways}; the newer counts "
        f"(`discern memory supersede {newer.id[:8]} {older.id[:8]}` chooses the older)",
    )


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return f"“{text[:57]}…”" if len(text) > 58 else f"“{text}”"
