"""Suggest turns that may be worth marking, from measured surprisal.

Two patterns are suggested:

- *a smooth reply followed by an unexpected message*: nothing in the reply surprised the model, and the
  user's next message did;
- *a slip*: one token of the reply that the model itself found very unlikely.

What counts as high surprisal depends on the user, the language and the model. Each value is therefore
compared with the user's earlier turns with the same model: its distance from their median in units of
the median absolute deviation (a robust z). The first turns, very short messages and the first message
of a thread are not judged, marked turns are skipped, and after a suggestion there is none for `SILENCE`
turns.

A turn is judged by nothing later than the message after it, so the chat and the command line agree.

Source of the scale: Iglewicz, Hoaglin, "How to Detect and Handle Outliers" (1993):
0.6745 · (x − median) / MAD, with 3.5 for an outlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from memory.difference import Difference, Turn
from memory.sentence import Sentence

LOOKED_AT = 400
"""Turns that a chat reads for a hint."""
SILENCE = 12
"""Turns without another hint after one."""
_KEPT = 200  # values that a median is taken over
_LEAST = 8  # values before anything is judged
_UNEXPECTED = 2.5  # least z of the user's message
_SMOOTH = 0.0  # most z of a smooth reply
_SLIP = 3.5
_SLIP_NATS = 5.0  # a token of at least this surprisal: under 1 in 148
_LEAST_SPREAD = 0.15  # nats; so that small deviations do not count for very regular users
_LEAST_WORDS = 3


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A turn that may be worth marking, the reason (one sentence) and the score (a robust z).

    `reply` and `answer` are the mean surprisal of the reply and of the message after it, in nats per
    token; `answer` is None when the reply alone was judged.
    """

    turn: Turn
    reason: Sentence
    score: float
    reply: float
    answer: float | None = None


SMOOTH = Sentence("The reply was predictable, but your next message was not")
SLIP = Sentence("The reply contains a word with a low probability")


def suggest(
    turns: Sequence[Turn], differences: Iterable[Difference] = ()
) -> tuple[Suggestion, ...]:
    """Return the turns that may be worth marking, oldest first.

    `turns` are those of all threads in order of time; `differences` are the existing marks.
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
    """Return the suggestion that `turn`, the latest of `turns`, led to: itself or the one before."""
    thread = [item.id for item in turns if item.thread == turn.thread][-2:]
    latest = found[-1] if found else None
    if latest is None or latest.turn.id not in thread:
        return None
    # A slip in the previous reply was already reported when that reply ended.
    return latest if latest.answer is not None or latest.turn.id == turn.id else None


class _Scales:
    """The usual values of one user with one model."""

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
    """Whether a text is long enough for a meaningful mean."""
    return len(text.split()) >= _LEAST_WORDS


def _z(value: float, usual: Sequence[float]) -> float | None:
    """Return the robust z of a value; None when there are too few to compare with."""
    if len(usual) < _LEAST:
        return None
    middle = median(usual)
    spread = max(median(abs(item - middle) for item in usual) / 0.6745, _LEAST_SPREAD)
    return (value - middle) / spread
