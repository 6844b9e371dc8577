"""Find differences that expect different replies to the same question, before training.

All marks of a question are compared, however it was worded. The newest one with an expected reply
counts, and older ones that expect another reply are left out; so it is for descriptions of the error.
The user can choose otherwise by superseding (`Memory.supersede`): a superseded difference no longer
teaches and is not seen here. Two marked spans of one reply conflict only if they overlap. Pure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from memory.difference import Difference
from memory.sentence import Sentence
from memory.text.numbers import numbers
from memory.text.stemming import plain, stems
from trainer.lessons.rephrase import rephrase, same_question
from trainer.lessons.reply_spans import expected_reply, replaces_span
from trainer.lessons.self_contained import is_self_contained, without_system_prompt

_NEGATIVE = "not no never don't isn't doesn't can't не нет никогда ни без"
_NEGATIONS = frozenset(_NEGATIVE.split())
_ENDS = "?!.… "
_PUNCTUATION = re.compile(r"[?!.,;:…\"“”„«»()—–]+(?=\s|\Z)|(?<!\S)[\"“”„«»(—–]+")
# Question words by meaning: two questions are nearly the same only if they ask in the same way.
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
    """Two differences that expect different answers to one question; `newer` is the one that counts."""

    older: str
    newer: str
    sentence: Sentence


class _Wanted(NamedTuple):
    """What a difference teaches: the reply, and the description of the error; None if it has none.

    `quote` is the marked span of the reply, "" for all of it.
    """

    reply: str | None
    naming: str | None
    quote: str


@dataclass(frozen=True, slots=True)
class _Settled:
    """The differences that remain, oldest first; the ids that replaced the others, and why."""

    kept: tuple[Difference, ...]
    replaced: dict[str, str]
    conflicts: tuple[Conflict, ...]


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
    """Return a conflict for each difference that a newer one overrides.

    `differences` are those of the journal, oldest first. Two marks that expect the same reply do not
    conflict, nor do two that were made in different conversations and mean nothing without them.
    """
    return _settle(differences).conflicts


def current_differences(
    differences: Sequence[Difference],
) -> tuple[list[Difference], dict[str, str]]:
    """Return the differences that teach and are not replaced, oldest first, and what was replaced.

    The second value maps each replaced id to the one that counts.

    The older side of a conflict is replaced, and so is a mark that a newer one repeats. One that only
    names the error differently from a newer one keeps its reply and loses its naming.
    """
    settled = _settle(differences)
    return list(settled.kept), settled.replaced


def _settle(differences: Sequence[Difference]) -> _Settled:
    teaching = [item for item in differences if item.teaches]
    turns: dict[str, list[Difference]] = defaultdict(list)
    for item in teaching:
        turns[item.turn].append(item)
    wanted = {item.id: _wanted(item, turns[item.turn]) for item in teaching}
    kept = {item.id: item for item in teaching}
    replaced: dict[str, str] = {}
    conflicts: dict[str, Conflict] = {}
    for marks in _by_question(teaching):
        replies = [item for item in marks if wanted[item.id].reply is not None]
        for item in replies[:-1]:
            if wanted[item.id].reply != wanted[replies[-1].id].reply:
                conflicts[item.id] = _conflict(item, replies[-1], wanted)
                replaced[item.id] = replies[-1].id
        naming = [
            item for item in marks if wanted[item.id].naming is not None and item.id not in replaced
        ]
        newest = {wanted[item.id].quote: item for item in naming}
        for item in naming:
            newer = newest[wanted[item.id].quote]
            if wanted[item.id].naming == wanted[newer.id].naming:
                continue
            conflicts[item.id] = _conflict(item, newer, wanted)
            if wanted[item.id].reply is None:
                replaced[item.id] = newer.id
            else:
                bare = replace(item.contrast, missed=None, lost=None)
                kept[item.id] = replace(item, contrast=bare)
    seen: dict[tuple[str, str, _Wanted], str] = {}
    for item in teaching:
        if item.id not in replaced:
            same = (_asked(item), _context(item), _wanted(kept[item.id], turns[item.turn]))
            if older := seen.get(same):
                replaced[older] = item.id
            seen[same] = item.id
    for older in replaced:
        while replaced[older] in replaced:
            replaced[older] = replaced[replaced[older]]
    return _Settled(
        tuple(item for item in kept.values() if item.id not in replaced),
        replaced,
        tuple(conflicts[item.id] for item in teaching if item.id in conflicts),
    )


def _wanted(item: Difference, teaching: Sequence[Difference]) -> _Wanted:
    reply = expected_reply(item, siblings_of(item, teaching))
    contrast = item.contrast
    naming = None
    if contrast.missed or contrast.lost:
        naming = " ".join(f"{contrast.missed} {contrast.lost} {contrast.sounds}".split())
    quote = item.span.quote if item.span is not None else ""
    return _Wanted(" ".join(reply.split()) if reply else None, naming, quote)


def _asked(item: Difference) -> str:
    return _bare(item.asked)


def _bare(text: str) -> str:
    """Return a question in lower case, without odd spacing and punctuation around its words."""
    return " ".join(_PUNCTUATION.sub(" ", plain(text)).split()) or plain(text)


def _context(item: Difference) -> str:
    """Return the preceding messages of a question that means nothing without them, else ""."""
    if is_self_contained(item.asked, item.before):
        return ""
    return (
        "\n".join(plain(message.content) for message in without_system_prompt(item.before)) or "\n"
    )


def _by_question(teaching: Sequence[Difference]) -> Iterable[list[Difference]]:
    """Return the marks of each question, oldest first.

    Questions are the same if they share a key, directly or through other questions.
    """
    leaders: dict[str, str] = {}
    owners: dict[Hashable, str] = {}

    def leader(name: str) -> str:
        while leaders[name] != name:
            leaders[name] = name = leaders[leaders[name]]
        return name

    for item in teaching:
        leaders[item.id] = item.id
        for key in _keys(item):
            leaders[leader(owners.setdefault(key, item.id))] = leader(item.id)
    found: dict[str, list[Difference]] = defaultdict(list)
    for item in teaching:
        found[leader(item.id)].append(item)
    return found.values()


def _keys(item: Difference) -> set[Hashable]:
    """Return the keys of a difference's questions: its wordings, and what they ask for."""
    place = _context(item)
    core = item.asked.strip().rstrip(_ENDS)
    # Hasty wordings ("who Zubrowka?") are too short to distinguish two questions, so they are skipped.
    made = (item.asked, *same_question(core), *rephrase(item.asked, most=0).held_out)
    keys: set[Hashable] = {(place, _bare(text)) for text in made if text.strip()}
    content = tuple(stems(item.asked))
    # A question with one content word ("What is a quark?") has too many wordings to compare by words.
    if len(set(content)) > 1:
        words = plain(item.asked).split()
        asking = [
            _CLASS[word] for word in re.findall(r"[\w'’]+", plain(item.asked)) if word in _CLASS
        ]
        negated = any(word.strip(".,!?") in _NEGATIONS for word in words)
        rest = (place, asking[0] if asking else "what", numbers(plain(item.asked)), negated)
        keys.add((*rest, content))
        if asking:  # its words may be in any order: "the capital of X is what?"
            keys.add((*rest, frozenset(content)))
    return keys


def _conflict(older: Difference, newer: Difference, wanted: dict[str, _Wanted]) -> Conflict:
    """Return the conflict of two differences: over the reply, else over the name of the error."""
    same = _asked(older) == _asked(newer)
    meet = (
        Sentence("the same question")
        if same
        else Sentence("“{older}” and “{newer}”", older=_cut(older.asked), newer=_cut(newer.asked))
    )
    ours, theirs = (wanted[item.id] for item in (older, newer))
    if ours.reply is not None and theirs.reply is not None and ours.reply != theirs.reply:
        ways = Sentence("“{older}” / “{newer}”", older=_cut(ours.reply), newer=_cut(theirs.reply))
        sentence = Sentence(
            "{older} and {newer} expect different replies to {meet}: {ways}; the newer one is "
            "used (`discern memory supersede {newer} {older}` selects the older one)",
            older=older.id[:8],
            newer=newer.id[:8],
            meet=meet,
            ways=ways,
        )
    else:
        ways = Sentence(
            "“{older}” / “{newer}”",
            older=_cut(ours.naming or ""),
            newer=_cut(theirs.naming or ""),
        )
        sentence = Sentence(
            "{older} and {newer} describe the error in the reply to {meet} differently: {ways}; "
            "the newer one is used (`discern memory supersede {newer} {older}` selects the older "
            "one)",
            older=older.id[:8],
            newer=newer.id[:8],
            meet=meet,
            ways=ways,
        )
    return Conflict(older.id, newer.id, sentence)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return f"{text[:57]}…" if len(text) > 58 else text
