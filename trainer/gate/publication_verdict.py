"""The verdict on a candidate adapter: whether it may be published, and why.

It holds the measures of the gate, the answers they were computed from, and the adapter's scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memory.sentence import Sentence, joined
from trainer.evaluate.lesson_answers import LessonAnswers
from trainer.gate.answer_changes import NO_NOISE, Noise
from trainer.report.report import Change, Measure

if TYPE_CHECKING:
    from trainer.lessons.lesson import Lesson

REACH, FEW = 2.5, 3
"""A weaker adapter, which costs an evaluation, is tried only if misses and divergence are at most REACH
times the allowed ones, and counts exceed the limit by at most FEW."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of the gate at one scale.

    `served` are the answers as they would be served, `alone` those of the adapter without recall.
    `holds` are the ids of the differences that the adapter gets right everywhere, which need no recall.
    """

    scale: float
    measures: tuple[Measure, ...]
    served: LessonAnswers
    changes: tuple[Change, ...]
    alone: LessonAnswers
    holds: frozenset[str]
    unlearnt: frozenset[str] = frozenset()
    """Ids of the few differences that were not learned, if all others were (see `unlearned.py`)."""
    noise: Noise = NO_NOISE
    """How much the base's own answers vary."""
    floor: float = 0.0
    """The floor of the `Scope` that the adapter was tested in; 0 if it answered all messages."""
    left_out: frozenset[str] = frozenset()
    """Ids of differences whose words leaked into other answers; only their exact questions are in
    scope."""
    as_asked: frozenset[str] = frozenset()
    """Those of them whose exact questions it answers correctly."""
    spread_to: frozenset[str] = frozenset()
    """Questions whose answers had the words of those differences."""

    @property
    def scoped(self) -> bool:
        """Whether the adapter was tested to answer only messages that are related to the lessons."""
        return self.floor > 0

    @property
    def passed(self) -> bool:
        """Whether the adapter may be published."""
        return all(measure.passed or measure.warned for measure in self.measures)

    @property
    def clean(self) -> bool:
        """Whether it passed without a warning."""
        return all(measure.passed for measure in self.measures)

    @property
    def sentence(self) -> Sentence:
        """The decision and its reason, in one sentence."""
        if self.passed and self.unlearnt:
            return Sentence(
                "the adapter learned all but {count} of the differences and left everything else "
                "unchanged",
                count=len(self.unlearnt),
            )
        if self.passed and self.left_out:
            return Sentence(
                "the adapter learned all but {n} of the differences, which is recalled instead "
                "because its words appeared in other answers; it answers only messages related to "
                "the others",
                "the adapter learned all but {n} of the differences, which are recalled instead "
                "because their words appeared in other answers; it answers only messages related to "
                "the others",
                n=len(self.left_out),
            )
        if self.passed and self.scoped:
            return Sentence(
                "the adapter learned the lessons; it answers only messages related to them, and the "
                "base model answers the others"
            )
        if self.passed:
            return Sentence("the adapter learned the lessons and left everything else unchanged")
        return joined(item.sentence for item in self.measures if not item.may_serve)

    @property
    def within_reach(self) -> bool:
        """Whether the thresholds are missed by so little that a weaker adapter may pass."""
        return all(_within_reach(item) for item in self.measures if not item.passed)

    @property
    def spreading(self) -> frozenset[str]:
        """Ids of the differences whose words occur in other answers."""
        return frozenset(change.difference for change in self.changes if change.difference)

    def removable(self, lessons: Sequence[Lesson], held_now: Sequence[bool]) -> frozenset[str]:
        """Return the ids of spreading differences that may be left out.

        `held_now` marks those of the `lessons` that the current adapter reproduces, which must stay.
        """
        learned = {x.difference for x, held in zip(lessons, held_now, strict=False) if held}
        found = self.spreading - learned
        # Leaving out most of the marks is no success.
        most = len({lesson.difference for lesson in lessons}) // 2
        return found if len(found) <= most else frozenset()

    @property
    def only_drifts(self) -> bool:
        """Whether everything was learned, and the only failures are answers that must not change."""
        failed = [x for x in self.measures if not (x.passed or (x.warned and not x.drift))]
        return bool(failed) and all(measure.drift for measure in failed)


def _within_reach(measure: Measure) -> bool:
    """Whether a measure of what must not change misses its threshold by little.

    At the lowest scale the divergence, which grows with the square of a small change, is about half.
    """
    if measure.name in ("sound", "near_misses", "anchors"):
        return 1 - measure.value <= REACH * (1 - measure.threshold)
    if measure.name in ("kl", "perplexity"):
        reach = (
            2 * REACH if measure.name == "perplexity" else REACH
        )  # its limit is above its target
        return measure.value <= reach * measure.threshold or measure.warned
    return measure.value <= measure.threshold + FEW


def measures_to_json(measures: Sequence[Measure]) -> dict[str, float]:
    """Return name → value for the manifest of an adapter."""
    return {measure.name: round(float(measure.value), 5) for measure in measures}
