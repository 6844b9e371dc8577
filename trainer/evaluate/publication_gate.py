"""The tests an adapter must pass, on the very configuration that will serve: the verdict.

Everything is measured as in `trainer/evaluate/metrics.py`: the lessons in a new thread, in the
thread of the mark and after other marked questions, held-out rephrasings, near-misses and held-out
anchors the training never saw, and whatever the adapter that serves today holds. What decides is
the adapter with what would be recalled for each message, which is what the chat serves by default;
the adapter alone is told beside it. When all was learnt and only something else moved, the
adapter's scale is lowered by bisection (llama.cpp takes one, so nothing is exported again) and the
largest one that passes is taken.
Nothing is written.

Most measures pass or fail. Perplexity has an aim and a limit: between them the adapter is weakened if
that mends it, and otherwise passes with a warning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memory.sentence import Sentence
from trainer.evaluate.gate_result import Verdict
from trainer.evaluate.lesson_answers import (
    LessonAnswers,
    answer_lessons,
    answer_lessons_with_recall,
    prompts_of,
)
from trainer.evaluate.metrics import drift, hold, mean
from trainer.evaluate.spillover import Spread
from trainer.evaluate.unlearned import excuse
from trainer.report.report import Change, Measure

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from memory.settings.settings import GateSettings
    from trainer.evaluate.metrics import Answer, Held
    from trainer.evaluate.served_config import ServedRecall
    from trainer.lessons.base_answers import Anchor
    from trainer.lessons.lesson import Lesson
    from trainer.lessons.lessons import Curriculum

SCALE_STEPS = 3
LOWEST_SCALE = 0.75
HALF = 0.5

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an adapter is evaluated on, and the thresholds it must meet."""

    engine: Engine
    curriculum: Curriculum
    thresholds: GateSettings
    recall: ServedRecall | None = None
    """What is recalled for a message; None for an adapter alone."""
    held_now: Sequence[bool] = ()
    """Whether the current adapter reproduces each lesson; none of those may be lost."""
    progress: Progress = lambda done, total: None


def judge(adapter: Path, evaluation: Evaluation) -> Verdict:
    """Evaluate `adapter`; lower its scale when only the drift fails.

    The engine has no adapter when this returns.
    """
    try:
        verdict = measure(adapter, 1.0, evaluation)
        if not verdict.only_drifts:
            return verdict
        best, low, high = verdict, LOWEST_SCALE, 1.0
        for _ in range(SCALE_STEPS):
            middle = round(math.sqrt(low * high), 3)
            tried = measure(adapter, middle, evaluation)
            if tried.clean or (tried.passed and not best.passed):
                best = tried
            if tried.clean or not tried.only_drifts:
                low = middle  # either a larger one may pass too, or this one has unlearnt
            else:
                high = middle
        return best
    finally:
        evaluation.engine.set_adapter(None)


def measure(adapter: Path, scale: float, evaluation: Evaluation) -> Verdict:
    """Ask everything once with `adapter` at `scale`."""
    engine, curriculum, recall = evaluation.engine, evaluation.curriculum, evaluation.recall
    engine.set_adapter(adapter, scale)
    lessons = curriculum.lessons
    total = prompts_of(lessons)
    total += len(curriculum.near_misses) + len(curriculum.anchors)
    step = _counter(evaluation.progress, total)
    alone = answer_lessons(engine, lessons, step)
    holds = held_by(lessons, alone)
    served = answer_lessons_with_recall(engine, lessons, alone, recall, holds) if recall else alone
    near = hold(engine, curriculum.near_misses, step)
    anchors = hold(engine, curriculum.anchors, step)
    spread = Spread(lessons, curriculum.before)
    changes = (
        *_changes(curriculum.anchors, anchors, spread, near=False),
        *_changes(curriculum.near_misses, near, spread, near=True),
    )
    found = _Findings(served, alone, near, anchors, changes)
    verdict = Verdict(
        scale=scale,
        measures=_measures(found, evaluation.thresholds, evaluation.held_now),
        spoken=served,
        changes=changes,
        alone=alone,
        holds=holds,
    )
    return excuse(verdict, curriculum.lessons)


def held_by(lessons: Sequence[Lesson], alone: LessonAnswers) -> frozenset[str]:
    """Return the differences that the adapter alone holds.

    Each of their lessons is answered correctly wherever it was asked, and so are half of its
    held-out wordings.
    """
    failing: set[str] = set()
    placed = alone.placed or ((),) * len(lessons)
    for number, lesson in enumerate(lessons):
        if lesson.kind == "naming":
            continue
        right = alone.asked[number].right and all(one.right for one in placed[number])
        if not right or alone.rephrased[number] < HALF:
            failing.add(lesson.difference)
    return frozenset(x.difference for x in lessons if x.kind != "naming") - failing


def _counter(progress: Progress, total: int) -> Callable[[], None]:
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return step


def _changes(
    anchors: Sequence[Anchor], held: Sequence[Held], spread: Spread, *, near: bool
) -> list[Change]:
    return [
        Change(
            anchor.asked,
            anchor.text,
            one.text or "",
            near=near,
            undecided=one.kept,
            spread=spread.carries(anchor.asked, anchor.text, one.text or "", undecided=one.kept),
        )
        for anchor, one in zip(anchors, held, strict=True)
        if not one.strict
    ]


@dataclass(frozen=True, slots=True)
class _Findings:
    """All answers at one scale: to the lessons as served and without recall, and to the rest."""

    served: LessonAnswers
    alone: LessonAnswers
    near: Sequence[Held]
    anchors: Sequence[Held]
    changes: Sequence[Change]


def _measures(
    found: _Findings, gate: GateSettings, held_now: Sequence[bool]
) -> tuple[Measure, ...]:
    spoken, alone, near, anchors = found.served, found.alone, found.near, found.anchors
    right, rephrased = spoken.lessons, min(spoken.rephrasings, alone.rephrasings)
    before = [had for had, held in zip(spoken.reproduced, held_now, strict=False) if held]
    kept = mean(before)
    lost = (
        Sentence(
            "lessons held until now and lost: {lost} of {held} (keep at least {threshold:.0%})",
            lost=len(before) - sum(before),
            held=len(before),
            threshold=gate.kept,
        )
        if before
        else Sentence("no lesson was held until now, so none could be lost")
    )
    apart = [(mean([one.kept for one in some]), mean([one.strict for one in some]))
             for some in (near, anchors)]  # fmt: skip
    (near_kept, near_strict), (anchors_kept, anchors_strict) = apart
    kl, rise = drift(anchors)
    said: list[Answer | Held] = [*spoken.every, *near, *anchors]
    sound = mean([one.sound for one in said])
    endless = sum(not one.ended for one in said)
    spread = sum(change.spread for change in found.changes)
    return (
        Measure(
            "lessons",
            right,
            gate.lessons,
            right >= gate.lessons,
            Sentence(
                "lessons reproduced: {share} (at least {threshold:.0%})",
                share=_share(right),
                threshold=gate.lessons,
            ),
        ),
        Measure(
            "alone",
            alone.lessons,
            gate.lessons,
            alone.lessons >= gate.lessons,
            Sentence(
                "lessons reproduced without recall: {share} (at least {threshold:.0%})",
                share=_share(alone.lessons),
                threshold=gate.lessons,
            ),
        ),
        Measure(
            "rephrasings",
            rephrased,
            gate.rephrasings,
            rephrased >= gate.rephrasings,
            Sentence(
                "held-out rephrasings: {share} (at least {threshold:.0%})",
                share=_share(rephrased),
                threshold=gate.rephrasings,
            ),
        ),
        Measure("kept", kept, gate.kept, kept >= gate.kept, lost),
        Measure(
            "near_misses",
            near_kept,
            gate.near_misses,
            near_kept >= gate.near_misses,
            Sentence(
                "look-alike questions unchanged: {share} (at least {threshold:.0%})",
                share=_shares(near_kept, near_strict),
                threshold=gate.near_misses,
            ),
            True,
            strict=near_strict,
        ),
        Measure(
            "anchors",
            anchors_kept,
            gate.anchors,
            anchors_kept >= gate.anchors,
            Sentence(
                "unrelated answers unchanged: {share} (at least {threshold:.0%})",
                share=_shares(anchors_kept, anchors_strict),
                threshold=gate.anchors,
            ),
            True,
            strict=anchors_strict,
        ),
        Measure(
            "kl",
            kl,
            gate.kl,
            kl <= gate.kl,
            Sentence(
                "distance from the base: {kl:.4f} nats a token (at most {threshold:g})",
                kl=kl,
                threshold=gate.kl,
            ),
            True,
        ),
        Measure(
            "perplexity",
            rise,
            gate.perplexity,
            rise <= gate.perplexity,
            Sentence(
                "perplexity on unrelated chat: {rise:+.1%} (aim {threshold:+.0%}, at most "
                "{limit:+.0%})",
                rise=rise,
                threshold=gate.perplexity,
                limit=gate.perplexity_limit,
            ),
            True,
            warned=gate.perplexity < rise <= gate.perplexity_limit,
        ),
        Measure(
            "sound",
            sound,
            gate.sound,
            sound >= gate.sound,
            Sentence(
                "well-formed replies (not empty, no think tags of their own): {share} (at least "
                "{threshold:.0%})",
                share=_share(sound),
                threshold=gate.sound,
            ),
            True,
        ),
        Measure(
            "endless",
            endless,
            gate.endless,
            endless <= gate.endless,
            Sentence(
                "replies that loop or do not end: {count} (at most {threshold})",
                count=endless,
                threshold=gate.endless,
            ),
            True,
        ),
        Measure(
            "spread",
            spread,
            gate.spread,
            spread <= gate.spread,
            Sentence(
                "other questions answered in a lesson's words: {count} (at most {threshold})",
                count=spread,
                threshold=gate.spread,
            ),
            True,
        ),
    )


def _share(value: float) -> Sentence:
    """Return a share without rounding it over a threshold: 0.949 is 94.9%, not 95%."""
    whole = round(value * 100, 6) == round(value * 100)
    return Sentence("{share:.0%}", share=value) if whole else Sentence("{share:.1%}", share=value)


def _shares(kept: float, strict: float) -> Sentence:
    share = _share(kept)
    return (
        Sentence("{share}, {strict} to the letter", share=share, strict=_share(strict))
        if strict != kept
        else share
    )
