"""Explain what was recalled for a turn: scores, matched words, and the differences as they are now.

The journal stores what recall found. For older turns without such a record, the search is repeated and
the trace says so. Differences that were forgotten since are only counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memory.difference import STANDING, Difference, Turn
from memory.i18n.interface_language import tr, trn
from memory.memory import Memory
from memory.recall.learned_differences import NOTHING_LEARNED, Learned
from memory.reply_rules import CheckedRule, check_rules
from memory.text.stemming import stems


@dataclass(frozen=True, slots=True)
class TracedDifference:
    """A recalled difference as it is now; `score` (0 to 1) is None when it is not known.

    `matched` are the words it has in common with the message, as written in the message. `rules` are
    its rules, checked on the reply.
    """

    difference: Difference
    score: float | None
    matched: tuple[str, ...]
    rules: tuple[CheckedRule, ...] = ()


@dataclass(frozen=True, slots=True)
class RecallTrace:
    """What was in a turn's context; `note` says what has changed since."""

    turn: Turn
    recalled: tuple[TracedDifference, ...]
    forgotten: int
    note: str = ""


def trace_recall(memory: Memory, turn: Turn, learned: Learned = NOTHING_LEARNED) -> RecallTrace:
    """Return what was recalled for `turn`, in the order of the context.

    What the adapter in use had `learned` is named in the note where it was left to the adapter.
    """
    fits: dict[str, tuple[float | None, tuple[str, ...]]] = {
        name: (score, stems) for name, score, stems in memory.journal.turns.recall_trace(turn.id)
    }
    found = memory.journal.differences.by_ids(turn.recalled)
    notes: list[str] = []
    if turn.recalled and not fits:
        again = memory.search(turn.asked, limit=50)
        fits = {item.difference.id: (item.score, item.matched) for item in again}
        notes.append(tr("these are current scores, because none were stored with this turn"))
    parts = tuple(_part(item, turn, *fits.get(item.id, (None, ()))) for item in found)
    forgotten = len(turn.recalled) - len(found)
    if forgotten:
        notes.append(
            trn(
                "{n} more has been forgotten since", "{n} more have been forgotten since", forgotten
            )
        )
    below = any(item.scope in STANDING for item in found)
    learned = learned.continued(below or bool(memory.journal.turns.parent(turn.id)))
    if left := _left_to_the_adapter(memory, turn, learned):
        notes.append(
            tr(
                "not added to the context because the adapter has already learned it: {names}",
                names=", ".join(left),
            )
        )
    return RecallTrace(turn, parts, forgotten, "; ".join(notes))


def _left_to_the_adapter(memory: Memory, turn: Turn, learned: Learned) -> list[str]:
    if not learned:
        return []
    found = [item for item in memory.search(turn.asked) if item.score >= memory.settings.floor]
    left_out = learned.left_out([item.difference for item in found], turn.asked)
    left_out -= set(turn.recalled)
    return [item.difference.id[:8] for item in found if item.difference.id in left_out]


def _part(
    item: Difference, turn: Turn, score: float | None, matched: Sequence[str]
) -> TracedDifference:
    """Return `item` with the matched stems replaced by the words of the message, where found."""
    wanted = dict.fromkeys(matched)
    written: dict[str, str] = {}
    for word in re.findall(r"\w+", turn.asked):
        for stem in stems(word):
            if stem in wanted:
                written.setdefault(stem, word)
    return TracedDifference(
        item,
        score,
        tuple(written.get(stem, stem) for stem in wanted),
        check_rules(item, turn.replied),
    )
