"""Measure the baselines of an adapter: the base alone, recall, and the current adapter.

Recall is measured like in a chat (`trainer/evaluate/served_config.py`), with every difference. An
adapter that is no better than recall may be published; the report says so. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memory.sentence import NOTHING, Sentence
from trainer.evaluate.lesson_answers import LessonAnswers, answer_lessons, prompts_of
from trainer.evaluate.metrics import Wanted, answers, mean
from trainer.evaluate.served_config import ServedRecall, below
from trainer.report.report import Beside, BesideKind

if TYPE_CHECKING:
    from agent.adapters import Adapter
    from agent.llama.engine import Engine
    from trainer.lessons.lesson import Lesson

ASKED = 120
"""Most prompts with a recalled block that are asked; each is several times as long as without."""


@dataclass(frozen=True, slots=True)
class Baselines:
    """The baselines of a night; `rows` are for the report.

    `held` says for each lesson whether the current adapter reproduces it (False without one), and
    `recalled` whether the base does with recall (None if that was not asked).
    """

    held: tuple[bool, ...]
    recalled: tuple[bool | None, ...]
    rows: tuple[Beside, ...]
    differences: tuple[str, ...] = ()
    """The difference of each lesson."""

    def without(self, ids: Collection[str]) -> Baselines:
        """Return the baselines without the lessons of the differences `ids`."""
        kept = [name not in ids for name in self.differences]
        if all(kept):
            return self
        return replace(
            self,
            held=tuple(x for x, one in zip(self.held, kept, strict=True) if one),
            recalled=tuple(x for x, one in zip(self.recalled, kept, strict=True) if one),
            differences=tuple(x for x, one in zip(self.differences, kept, strict=True) if one),
        )


def measure_baselines(
    engine: Engine,
    lessons: Sequence[Lesson],
    recall: ServedRecall,
    current: Adapter | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Baselines:
    """Measure all three; the engine has no adapter when this returns."""
    blocks = _with_recall(engine, lessons, recall)
    total = len(blocks) + prompts_of(lessons) * (2 if current else 1)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    alone = answer_lessons(engine, lessons, step)
    rows = [_row("base", Sentence("base"), alone)]
    recalled: list[bool | None] = [None] * len(lessons)
    said = answers(engine, [wanted for _, _, wanted in blocks], step, shown=0)
    right: tuple[list[bool], list[bool]] = ([], [])
    for (number, variant, _), one in zip(blocks, said, strict=True):
        right[min(variant, 1)].append(one.right)
        if variant == 0:
            recalled[number] = one.right
    rows.append(Beside(Sentence("recall"), mean(right[0]), mean(right[1]), "recall"))
    held = (False,) * len(lessons)
    if current is not None:
        given = answers_of_adapter(engine, lessons, current, step)
        held = given.reproduced
        rows.append(_row("current", Sentence("adapter {id}", id=current.id[:8]), given))
    differences = tuple(lesson.difference for lesson in lessons)
    return Baselines(held, tuple(recalled), tuple(rows), differences)


def answers_of_adapter(
    engine: Engine,
    lessons: Sequence[Lesson],
    adapter: Adapter,
    step: Callable[[], None] = lambda: None,
) -> LessonAnswers:
    """Return what a published adapter answers; the engine has no adapter when this returns."""
    try:
        engine.set_adapter(adapter.gguf, adapter.manifest.scale)
        return answer_lessons(engine, lessons, step)
    finally:
        engine.set_adapter(None)


def prompts_beside(lessons: Sequence[Lesson], *, current: bool) -> int:
    """Return how many prompts `measure_baselines` asks; `current`: whether there is an adapter."""
    blocks = sum(1 + min(2, len(lesson.held_out)) for lesson in lessons)
    return min(ASKED, blocks) + prompts_of(lessons) * (2 if current else 1)


def _row(kind: BesideKind, name: Sentence, given: LessonAnswers) -> Beside:
    return Beside(name, given.lessons, given.rephrasings, kind)


def _with_recall(
    engine: Engine, lessons: Sequence[Lesson], recall: ServedRecall
) -> list[tuple[int, int, Wanted]]:
    """Return (lesson, wording, prompt with the recalled block) of the wordings that are asked.

    Every lesson's question comes first, then rephrasings as far as the limit allows.
    """
    places = [(number, 0) for number in range(len(lessons))]
    places += [
        (number, variant)
        for variant in (1, 2)
        for number, lesson in enumerate(lessons)
        if len(lesson.held_out) >= variant
    ]
    made: list[tuple[int, int, Wanted]] = []
    for number, variant in places[:ASKED]:
        lesson = lessons[number]
        question = (lesson.question, *lesson.held_out)[variant]
        block, reply = recall.block(question), len(lesson.chosen)
        prompt = below(engine, recall.settings, question, block, reply) or question.prompt
        made.append((number, variant, Wanted(prompt, lesson.chosen, lesson.expected)))
    return made


def no_better(rows: Sequence[Beside], served: LessonAnswers) -> Sentence:
    """Return a note if recall alone does at least as well as the adapter, else nothing."""
    recall = next((row for row in rows if row.kind == "recall"), None)
    if recall is None:
        return NOTHING
    ours, theirs = served.lessons + served.rephrasings, recall.lessons + recall.rephrasings
    if ours > theirs or not theirs:
        return NOTHING
    return Sentence(
        "this adapter is no better than recall alone, which reproduces {lessons:.0%} of the "
        "lessons and {rephrasings:.0%} of their rephrasings",
        lessons=recall.lessons,
        rephrasings=recall.rephrasings,
    )
