"""The verdict of the gate: its measures, the answers they were computed from, and the strength."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memory.sentence import Sentence, joined
from trainer.evaluate.lesson_answers import LessonAnswers
from trainer.report.report import Change, Measure


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of the gate at one scale.

    `spoken` are the answers as they would be served, `alone` those of the adapter without recall.
    `holds` are the ids of the differences that the adapter gets right everywhere, which need no recall.
    """

    scale: float
    measures: tuple[Measure, ...]
    spoken: LessonAnswers
    changes: tuple[Change, ...]
    alone: LessonAnswers
    holds: frozenset[str]
    unlearnt: frozenset[str] = frozenset()
    """Ids of the few differences that were not learnt, if all others were (see `unlearned.py`)."""

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
                "the adapter learnt all but {count} of the differences and left the rest as it was",
                count=len(self.unlearnt),
            )
        if self.passed:
            return Sentence("the adapter learnt what it should and left the rest as it was")
        return joined(item.sentence for item in self.measures if not item.may_serve)

    @property
    def only_drifts(self) -> bool:
        """Whether everything was learnt, and the only failures are answers that must not change."""
        failed = [x for x in self.measures if not (x.passed or (x.warned and not x.drift))]
        return bool(failed) and all(measure.drift for measure in failed)


def measures_to_json(measures: Sequence[Measure]) -> dict[str, float]:
    """Return name → value for the manifest of an adapter."""
    return {measure.name: round(float(measure.value), 5) for measure in measures}
