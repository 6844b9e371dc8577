"""Which moments may be worth marking: measured surprise, never a mark by itself.

The model predicts; a difference is where it predicted the commonplace and reality was otherwise. Two
things show that from outside, without asking anybody:

- *a smooth reply and an unexpected answer to it*: the reply held nothing that surprised the model
  itself, and then the person said what it did not expect to hear;
- *a slip*: one token of the reply that the model itself held for most unlikely.

How many nats are many depends on the person, the language and the model. So each value is measured
against this person's own turns before it under the same model: the distance from their median in
units of the median absolute deviation (a robust z). The first turns, single words and first messages
of a thread (which nothing foretells) are not judged, what is marked already is left alone, and after
a hint there is silence for `SILENCE` turns.

The judgement of a turn looks at nothing later than the message after it, so that the chat and the
command line say the same.

Source of the scale: Iglewicz, Hoaglin, "How to Detect and Handle Outliers" (1993):
0.6745 · (x − median) / MAD, with 3.5 for an outlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from memory.difference import Difference, Turn

LOOKED_AT = 400
"""Turns that a chat needs to read for a hint."""
SILENCE = 12
"""Turns without another hint after one."""
_KEPT = 200  # values that a median is taken over
_LEAST = 8  # values before anything is judged
_UNEXPECTED = 2.5  # how far above their own median the person's words must be
_SMOOTH = 0.0  # how far above its own median a commonplace reply may be
_SLIP = 3.5
_SLIP_NATS = 5.0  # a token of at least this surprisal: under 1 in 148
_LEAST_SPREAD = 0.15  # nats; a person who always says the same is not surprised by a trifle
_LEAST_WORDS = 3


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A turn that may be worth a mark, why (one sentence), and by how much (a robust z; 2.5 and up).

    `reply` and `answer` are the mean surprisal of the reply and of the message after it, in nats a
    token; `answer` is None where the reply alone speaks.
    """

    turn: Turn
    reason: str
    score: float
    reply: float
    answer: float | None = None


SMOOTH = "The reply was predictable, what you said next was not"
SLIP = "The reply holds a word the model itself did not expect"


def suggest(
    turns: Sequence[Turn], differences: Iterable[Difference] = ()
) -> tuple[Suggestion, ...]:
    """Return the turns worth a second look, oldest first.

    `turns` stand in the order they happened, of all threads; `differences` are the marks there are.
    """
    marked = {item.turn for item in differences}
    scales: dict[str, _Scales] = {}
    last: dict[str, Turn] = {}  # the turn before, in each thread
    found: list[Suggestion] = []
    quiet = 0
    for turn in turns:
        scale = scales.setdefault(turn.model, _Scales())
        before = last.get(turn.thread)
        quiet -= 1
        hint = scale.unexpected(before, turn) if before is not None else None
        if hint is None or hint.turn.id in marked:
            hint = scale.slip(turn)
        if hint is not None and hint.turn.id not in marked and quiet <= 0:
            found.append(hint)
            quiet = SILENCE
        scale.learn(turn, follows=before is not None)
        last[turn.thread] = turn
    return tuple(found)


def hint_for(turn: Turn, found: Sequence[Suggestion], turns: Sequence[Turn]) -> Suggestion | None:
    """Return what `turn`, the latest of `turns`, gave rise to: a hint at itself or the one before."""
    thread = [item.id for item in turns if item.thread == turn.thread][-2:]
    latest = found[-1] if found else None
    if latest is None or latest.turn.id not in thread:
        return None
    # A slip in the reply before was already said when that reply ended.
    return latest if latest.answer is not None or latest.turn.id == turn.id else None


class _Scales:
    """What is usual for one person with one model."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.replies: list[float] = []
        self.peaks: list[float] = []

    def learn(self, turn: Turn, *, follows: bool) -> None:
        if follows and turn.asked_surprisal is not None and _speaks(turn.asked):
            self.asked = [*self.asked[1 - _KEPT :], turn.asked_surprisal]
        mean = turn.mean_surprisal
        if mean is not None:
            self.replies = [*self.replies[1 - _KEPT :], mean]
            self.peaks = [*self.peaks[1 - _KEPT :], max(turn.surprisal)]

    def unexpected(self, before: Turn, turn: Turn) -> Suggestion | None:
        answer, reply = turn.asked_surprisal, before.mean_surprisal
        if answer is None or reply is None or before.stopped or not _speaks(turn.asked):
            return None
        high, low = _z(answer, self.asked), _z(reply, self.replies)
        if high is None or low is None or high < _UNEXPECTED or low > _SMOOTH:
            return None
        return Suggestion(before, SMOOTH, round(high - low, 2), round(reply, 3), round(answer, 3))

    def slip(self, turn: Turn) -> Suggestion | None:
        mean = turn.mean_surprisal
        peak = max(turn.surprisal, default=0.0)
        high = _z(peak, self.peaks)
        if mean is None or high is None or high < _SLIP or peak < _SLIP_NATS:
            return None
        return Suggestion(turn, SLIP, round(high, 2), round(mean, 3))


def _speaks(text: str) -> bool:
    """Whether a mean over the text's tokens says anything."""
    return len(text.split()) >= _LEAST_WORDS


def _z(value: float, usual: Sequence[float]) -> float | None:
    """Return how far a value is from what is usual, in robust standard deviations; None: unknown."""
    if len(usual) < _LEAST:
        return None
    middle = median(usual)
    spread = max(median(abs(item - middle) for item in usual) / 0.6745, _LEAST_SPREAD)
    return (value - middle) / spread
