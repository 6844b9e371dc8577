"""Accept an adapter that did not learn one or a few differences.

If an adapter misses the thresholds of learning because of a few differences only, and all others were
learned, it may be published with a warning that names them: they are recalled as before, and the next
night trains them again. Lessons of the current adapter that are lost are never excused, nor are changed
answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from memory.sentence import Sentence
from trainer.evaluate.metrics import mean

if TYPE_CHECKING:
    from trainer.evaluate.lesson_answers import LessonAnswers
    from trainer.gate.publication_verdict import Verdict
    from trainer.lessons.lesson import Lesson

MAX_UNLEARNED_SHARE = 0.1
"""Share of the differences that may remain unlearned; one always may if another one is learned."""


def excuse(verdict: Verdict, lessons: Sequence[Lesson]) -> Verdict:
    """Return the verdict with warnings instead of failures if only a few differences cause them.

    They are recorded in its `unlearnt`.
    """
    missed = {item.name for item in verdict.measures if not item.passed} & {
        "lessons", "alone", "rephrasings",
    }  # fmt: skip
    differences = list(dict.fromkeys(lesson.difference for lesson in lessons))
    if not missed or len(differences) < 2:
        return verdict
    right = {
        name: _right(verdict.alone, [x.difference == name for x in lessons]) for name in differences
    }
    worst = sorted(differences, key=lambda name: right[name])
    for count in range(1, max(1, int(MAX_UNLEARNED_SHARE * len(differences))) + 1):
        gone = frozenset(worst[:count])
        chosen = [x.difference not in gone for x in lessons]
        rest, alone = verdict.served.where(chosen), verdict.alone.where(chosen)
        values = {
            "lessons": rest.lessons,
            "alone": alone.lessons,
            "rephrasings": min(rest.rephrasings, alone.rephrasings),
        }
        limits = {item.name: item.threshold for item in verdict.measures}
        if all(values[name] >= limits[name] for name in missed) and any(rest.reproduced):
            return replace(
                verdict,
                unlearnt=gone,
                measures=tuple(
                    replace(item, warned=True, sentence=_said(item.sentence, gone))
                    if item.name in missed
                    else item
                    for item in verdict.measures
                ),
            )
    return verdict


def _said(sentence: Sentence, unlearnt: frozenset[str]) -> Sentence:
    named = ", ".join(sorted(name[:8] for name in unlearnt))
    return Sentence(
        "{sentence}, because {named} could not be learned", sentence=sentence, named=named
    )


def _right(answers: LessonAnswers, chosen: Sequence[bool]) -> tuple[float, float]:
    some = answers.where(chosen)
    return some.lessons, mean(some.rephrased)
