"""Evaluate a candidate adapter in the configuration that will be served.

Everything is measured as in `trainer/evaluate/metrics.py`: the lessons in a new thread, in the thread
of the mark and after other marked questions, held-out rephrasings, near misses and anchors that were
not trained, and what the current adapter holds. The verdict (`trainer/gate/publication_verdict.py`) is
on the adapter together with what would be recalled for each message, which is what the chat serves by
default; the report also has the adapter alone. If everything was learned and only other answers
changed, the scale of the adapter (a parameter of llama.cpp) is reduced by bisection, and the largest
one that passes is used. Nothing is written.

The measures and how they are decided are in `trainer/gate/gate_measures.py`; which changed answers
count, in `trainer/gate/answer_changes.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.evaluate.lesson_answers import (
    KnownAnswers,
    LessonAnswers,
    answer_lessons,
    answer_lessons_with_recall,
    answer_outside_scope,
    prompts_of,
)
from trainer.evaluate.metrics import Held, compare_anchors
from trainer.evaluate.served_config import below
from trainer.gate.answer_changes import NO_NOISE, ChangeJudge, Noise, measure_noise
from trainer.gate.gate_measures import Findings, measures
from trainer.gate.publication_verdict import Verdict
from trainer.gate.spillover import Spread
from trainer.gate.unlearned import excuse
from trainer.lessons.lesson import Question

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from memory.recall.adapter_scope import Scope
    from memory.settings.settings import GateSettings
    from trainer.evaluate.served_config import ServedRecall
    from trainer.lessons.anchors.base_answers import Anchor, BaseAnswers
    from trainer.lessons.lesson import Lesson
    from trainer.lessons.lessons import Curriculum
    from trainer.report.report import Change

SCALE_STEPS = 3
LOWEST_SCALE = 0.75
HALF = 0.5

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Judging:
    """How a candidate is evaluated.

    `held_now` marks the lessons that the current adapter reproduces; none of those may be lost.
    `another_scale` says whether there is time to ask everything again with a weaker adapter.
    """

    held_now: Sequence[bool] = ()
    progress: OnProgress = lambda done, total: None
    another_scale: Callable[[], bool] = lambda: True


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an adapter is evaluated on, and the thresholds it must meet."""

    engine: Engine
    curriculum: Curriculum
    thresholds: GateSettings
    recall: ServedRecall | None = None
    """What is recalled for a message; None for the adapter alone."""
    base_answers: BaseAnswers | None = None
    """The base's answers, also to near misses below what is recalled for them; needed with `recall`."""
    held_now: Sequence[bool] = ()
    """Whether the current adapter reproduces each lesson; none of those may be lost."""
    progress: OnProgress = lambda done, total: None
    scope: Scope | None = None
    """What the adapter answers when it serves; None for all messages."""
    fallbacks: Sequence[Callable[[frozenset[str]], Scope]] = ()
    """What it may answer instead, if it changes too many answers to all messages; the widest first.
    They take the ids of differences whose messages are left to the base and recall."""
    left_out: frozenset[str] = frozenset()
    """Those differences."""
    noise: Noise = NO_NOISE
    """How much the base's own answers vary; `judge` measures it."""
    another_scale: Callable[[], bool] = lambda: True
    """Whether there is time to ask everything again with a weaker adapter."""


def judge(adapter: Path, evaluation: Evaluation) -> Verdict:
    """Evaluate `adapter`; if it only changes too many answers, look for a way to serve it.

    It then answers only what is within one of `evaluation.fallbacks`, then without the differences that
    spread, and its scale is lowered if that may help. The engine has no adapter when this returns.
    """
    engine, curriculum = evaluation.engine, evaluation.curriculum
    try:
        engine.set_adapter(None)
        noise = measure_noise(engine, [*curriculum.anchors, *curriculum.near_misses])
        evaluation = replace(evaluation, noise=noise)
        said = _ask(adapter, 1.0, evaluation)
        verdict = _decide(evaluation, said)
        if not verdict.passed and verdict.only_drifts:
            evaluation, verdict = _within_a_scope(evaluation, said) or (
                evaluation,
                verdict,
            )
        if not (verdict.only_drifts and verdict.within_reach):
            return verdict
        best, low, high = verdict, LOWEST_SCALE, 1.0
        for _ in range(SCALE_STEPS):
            if not evaluation.another_scale():
                break
            middle = round(math.sqrt(low * high), 3)
            tried = measure(adapter, middle, evaluation)
            if tried.clean or (tried.passed and not best.passed):
                best = tried
            if tried.clean or not tried.only_drifts:
                low = middle  # a larger scale may pass too, or this one is too weak for the lessons
            else:
                high = middle
        return best
    finally:
        engine.set_adapter(None)


def _within_a_scope(evaluation: Evaluation, said: _Said) -> tuple[Evaluation, Verdict] | None:
    """Return the widest scope that passes, else the widest; None if there is none to try.

    If none passes, each is tried without the differences that spread in it, those with the fewest
    first.
    """

    def tried(
        fallback: Callable[[frozenset[str]], Scope], left_out: frozenset[str]
    ) -> tuple[Evaluation, Verdict]:
        scoped = replace(evaluation, scope=fallback(left_out), left_out=left_out)
        return scoped, _decide(scoped, said)

    lessons, held_now = evaluation.curriculum.lessons, evaluation.held_now
    widest, spreading = None, []
    for fallback in evaluation.fallbacks:
        found = tried(fallback, frozenset())
        if found[1].passed:
            return found
        widest = widest or found
        if left_out := found[1].removable(lessons, held_now):
            asked = frozenset(x.asked for x in found[1].changes if x.difference in left_out)
            spreading.append((fallback, left_out, asked))
    for fallback, left_out, asked in sorted(spreading, key=lambda one: len(one[1])):
        scoped, verdict = tried(fallback, left_out)
        if verdict.passed:
            return scoped, replace(verdict, spread_to=asked)
    return widest


def measure(adapter: Path, scale: float, evaluation: Evaluation) -> Verdict:
    """Ask everything once with `adapter` at `scale`. The engine has no adapter when this returns."""
    return _decide(evaluation, _ask(adapter, scale, evaluation))


@dataclass(frozen=True, slots=True)
class _Said:
    """The answers of an adapter at a scale without recall, those outside a scope included.

    `of_base` and `of_adapter` are answers to other prompts, which scopes may have in common.
    """

    adapter: Path
    scale: float
    lessons: LessonAnswers
    near: Sequence[Held]
    anchors: Sequence[Held]
    of_base: KnownAnswers = field(default_factory=dict)
    of_adapter: KnownAnswers = field(default_factory=dict)
    recalled: dict[tuple[int, ...], Held] = field(default_factory=dict)
    """The answers to near misses below a recalled block, by their prompt."""


def _ask(adapter: Path, scale: float, evaluation: Evaluation) -> _Said:
    """Ask everything once; the answers outside the scope are the base's."""
    engine, curriculum, scope = evaluation.engine, evaluation.curriculum, evaluation.scope
    engine.set_adapter(adapter, scale)
    total = prompts_of(curriculum.lessons)
    total += len(curriculum.near_misses) + len(curriculum.anchors)
    step = _counter(evaluation.progress, total)
    return _Said(
        adapter,
        scale,
        answer_lessons(engine, curriculum.lessons, step),
        _hold(engine, curriculum.near_misses, scope, step),
        _hold(engine, curriculum.anchors, scope, step),
    )


def _decide(evaluation: Evaluation, said: _Said) -> Verdict:
    """Return the verdict on what was said, and on what recall and the scope make of it."""
    evaluation = _with_floor_of_scope(evaluation)
    scope, left_out, every = evaluation.scope, evaluation.left_out, evaluation.curriculum.lessons
    kept = [lesson.difference not in left_out for lesson in every]
    # Those that are left out are answered as they were asked, and in no other wording.
    lessons = [x if keep else replace(x, held_out=()) for x, keep in zip(every, kept, strict=True)]
    evaluation.engine.set_adapter(None)
    alone, near, anchors = _limit_to_scope(evaluation, said, lessons, kept)
    holds = held_by(lessons, alone) - left_out
    served, recalled, with_recall = _serve_with_recall(evaluation, said, lessons, alone, holds)
    near = [*near, *with_recall]
    as_asked = left_out - _wrong(lessons, alone) - _wrong(lessons, served)
    lessons, held_now = list(compress(lessons, kept)), list(compress(evaluation.held_now, kept))
    alone, served = alone.where(kept), served.where(kept)
    changes = _find_changes(evaluation, anchors, near, recalled)
    found = Findings(served, alone, near, anchors, changes)
    verdict = Verdict(
        scale=said.scale,
        measures=measures(found, evaluation.thresholds, held_now, evaluation.noise.kl),
        served=served,
        changes=changes,
        alone=alone,
        holds=holds,
        noise=evaluation.noise,
        floor=scope.floor if scope else 0.0,
        left_out=left_out,
        as_asked=as_asked,
    )
    return excuse(verdict, lessons)


def _with_floor_of_scope(evaluation: Evaluation) -> Evaluation:
    """Let recall use the floor of the scope, as it does when the adapter serves."""
    recall, scope = evaluation.recall, evaluation.scope
    if recall is None or not scope:
        return evaluation
    return replace(evaluation, recall=replace(recall, floor=scope.floor))


def _limit_to_scope(
    evaluation: Evaluation, said: _Said, lessons: Sequence[Lesson], kept: Sequence[bool]
) -> tuple[LessonAnswers, Sequence[Held], Sequence[Held]]:
    """Return the answers to lessons, near misses and anchors without recall.

    Outside the scope they are the base's. `kept` marks the lessons that may be reworded. The engine
    must have no adapter.
    """
    scope, curriculum = evaluation.scope, evaluation.curriculum
    alone = said.lessons.reworded_where(kept)
    if not scope:
        return alone, said.near, said.anchors
    near, anchors = (
        [
            answer if scope.includes(anchor.asked) else _unchanged(anchor)
            for anchor, answer in zip(asked, answers, strict=True)
        ]
        for asked, answers in (
            (curriculum.near_misses, said.near),
            (curriculum.anchors, said.anchors),
        )
    )
    alone = answer_outside_scope(evaluation.engine, lessons, alone, scope, known=said.of_base)
    return alone, near, anchors


def _serve_with_recall(
    evaluation: Evaluation,
    said: _Said,
    lessons: Sequence[Lesson],
    alone: LessonAnswers,
    holds: frozenset[str],
) -> tuple[LessonAnswers, Sequence[Anchor], Sequence[Held]]:
    """Return the answers to lessons with recall; the near misses that recall affects; their answers.

    The engine has no adapter before and after.
    """
    engine, recall, scope = evaluation.engine, evaluation.recall, evaluation.scope
    if recall is None:
        return alone, [], []
    recalled = _with_recall(evaluation, holds)
    engine.set_adapter(said.adapter, said.scale)
    served = answer_lessons_with_recall(engine, lessons, alone, recall, holds, said.of_adapter)
    missing = [anchor for anchor in recalled if anchor.prompt not in said.recalled]
    answers = compare_anchors(engine, missing)
    said.recalled.update(zip((x.prompt for x in missing), answers, strict=True))
    engine.set_adapter(None)
    if scope:
        how = recall, holds
        served = answer_outside_scope(engine, lessons, served, scope, how, said.of_base)
    return served, recalled, [said.recalled[anchor.prompt] for anchor in recalled]


def _find_changes(
    evaluation: Evaluation,
    anchors: Sequence[Held],
    near: Sequence[Held],
    recalled: Sequence[Anchor],
) -> tuple[Change, ...]:
    """Return the answers that differ from the base's; `near` ends with those to `recalled`."""
    curriculum = evaluation.curriculum
    spread = Spread(curriculum.lessons, curriculum.before)
    changes = ChangeJudge(evaluation.engine, spread, evaluation.noise).changes
    return (
        *changes(curriculum.anchors, anchors, near=False),
        *changes([*curriculum.near_misses, *recalled], near, near=True),
    )


def _hold(
    engine: Engine, anchors: Sequence[Anchor], scope: Scope | None, step: Callable[[], None]
) -> list[Held]:
    """Compare the answers to `anchors` with the base's; outside `scope`, the base itself answers."""
    inside = [anchor for anchor in anchors if scope is None or scope.includes(anchor.asked)]
    found = iter(compare_anchors(engine, inside, step))
    related = {id(anchor) for anchor in inside}
    return [next(found) if id(anchor) in related else _unchanged(anchor) for anchor in anchors]


def _with_recall(evaluation: Evaluation, holds: frozenset[str]) -> list[Anchor]:
    """Return the near misses for which something is recalled, below it, with the base's answers.

    Only those that the adapter answers; `holds` are the differences that it holds, which are not
    recalled. The engine must have no adapter.
    """
    recall, known, scope = evaluation.recall, evaluation.base_answers, evaluation.scope
    if recall is None or known is None:
        return []
    asked = {}
    for anchor in evaluation.curriculum.near_misses:
        if anchor.asked in asked or not (scope is None or scope.includes(anchor.asked)):
            continue
        question = Question(anchor.asked, anchor.prompt)
        block = recall.served(question, holds)
        asked[anchor.asked] = below(
            evaluation.engine, recall.settings, question, block, len(anchor.reply)
        )
    wanted = [(text, prompt) for text, prompt in asked.items() if prompt is not None]
    return known.get(wanted)


def _unchanged(anchor: Anchor) -> Held:
    return Held(True, True, 0.0, 0.0, len(anchor.reply), anchor.text, sound=True)


def held_by(lessons: Sequence[Lesson], alone: LessonAnswers) -> frozenset[str]:
    """Return the ids of the differences that the adapter holds without recall.

    Each of their lessons is answered correctly in every context, and in at least half of its held-out
    wordings.
    """
    rephrased = zip(lessons, alone.rephrased, strict=True)
    failing = _wrong(lessons, alone)
    failing |= {x.difference for x, share in rephrased if share < HALF and x.kind != "naming"}
    return frozenset(x.difference for x in lessons if x.kind != "naming") - failing


def _wrong(lessons: Sequence[Lesson], said: LessonAnswers) -> frozenset[str]:
    """Return the differences with a question that, as it was asked, is answered wrong somewhere."""
    placed = said.placed or ((),) * len(lessons)
    return frozenset(
        lesson.difference
        for lesson, asked, others in zip(lessons, said.asked, placed, strict=True)
        if lesson.kind != "naming" and not all(one.right for one in (asked, *others))
    )


def _counter(progress: OnProgress, total: int) -> Callable[[], None]:
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return step
