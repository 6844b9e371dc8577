"""The answers to the lessons under the engine's current adapter, with recall and without.

Both the gate (`trainer/gate/evaluate_candidate.py`) and its baselines
(`trainer/evaluate/baselines.py`) are computed from these. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING, Literal

from trainer.evaluate.metrics import Answer, Wanted, answers, mean
from trainer.evaluate.served_config import ServedRecall, below

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from memory.recall.adapter_scope import Scope
    from trainer.lessons.lesson import Lesson, Question

KnownAnswers = dict[Wanted, Answer]
"""Answers of one configuration that were computed already; new ones are added."""
SHOWN_REWORDED = 40
"""Number of wrong replies to held-out rephrasings that are generated to their end."""


@dataclass(frozen=True, slots=True)
class LessonAnswers:
    """The answers to every lesson.

    For each lesson: `asked` to its question, `reworded` to its held-out rephrasings, and `placed` to
    its question in other contexts (`Lesson.places`).
    """

    asked: tuple[Answer, ...]
    reworded: tuple[tuple[Answer, ...], ...]
    placed: tuple[tuple[Answer, ...], ...] = ()

    def where(self, wanted: Sequence[bool]) -> LessonAnswers:
        """Return the answers to the lessons that are `wanted`."""
        placed = self.placed or ((),) * len(self.asked)
        return LessonAnswers(
            tuple(compress(self.asked, wanted)),
            tuple(compress(self.reworded, wanted)),
            tuple(compress(placed, wanted)),
        )

    def reworded_where(self, wanted: Sequence[bool]) -> LessonAnswers:
        """Return the answers without those to held-out rephrasings of lessons that are not `wanted`."""
        some = zip(self.reworded, wanted, strict=True)
        return replace(self, reworded=tuple(one if keep else () for one, keep in some))

    @property
    def reproduced(self) -> tuple[bool, ...]:
        """Whether each lesson's question gets the expected reply."""
        return tuple(one.right for one in self.asked)

    @property
    def rephrased(self) -> tuple[float, ...]:
        """Share of each lesson's held-out rephrasings that get the expected reply; 1 without any."""
        return tuple(mean([one.right for one in some]) for some in self.reworded)

    @property
    def lessons(self) -> float:
        """Share of the lessons' questions that get the expected reply, in every context."""
        return mean([*self.reproduced, *(one.right for some in self.placed for one in some)])

    @property
    def every(self) -> tuple[Answer, ...]:
        """All answers."""
        many = (*self.reworded, *self.placed)
        return (*self.asked, *(one for some in many for one in some))

    @property
    def rephrasings(self) -> float:
        """Mean share of the held-out rephrasings, over the lessons that have some."""
        pairs = zip(self.reworded, self.rephrased, strict=True)
        return mean([share for some, share in pairs if some])


def answer_lessons(
    engine: Engine, lessons: Sequence[Lesson], step: Callable[[], None] = lambda: None
) -> LessonAnswers:
    """Return the answers with the engine's current adapter and without recall."""
    asked = answers(engine, [_wanted(lesson, lesson.question) for lesson in lessons], step)
    reworded = answers(engine, _questions(lessons, "held_out"), step, shown=SHOWN_REWORDED)
    placed = answers(engine, _questions(lessons, "places"), step)
    return _by_lesson(lessons, asked, reworded, placed)


def answer_lessons_with_recall(
    engine: Engine,
    lessons: Sequence[Lesson],
    alone: LessonAnswers,
    recall: ServedRecall,
    holds: frozenset[str],
    known: KnownAnswers | None = None,
) -> LessonAnswers:
    """Return the answers with recall; where nothing is recalled, those of `alone`."""

    def prompt_for(question: Question, lesson: Lesson) -> tuple[int, ...] | None:
        block = recall.served(question, holds)
        return below(engine, recall.settings, question, block, len(lesson.chosen))

    return _replace_answers(engine, lessons, alone, prompt_for, known)


def answer_outside_scope(
    engine: Engine,
    lessons: Sequence[Lesson],
    said: LessonAnswers,
    scope: Scope,
    recall: tuple[ServedRecall, frozenset[str]] | None = None,
    known: KnownAnswers | None = None,
) -> LessonAnswers:
    """Return `said` with the base's answers to the questions outside `scope`.

    The engine must have no adapter. `recall` has what the chat recalls, and the ids of the differences
    that the adapter holds, which are not recalled.
    """

    def prompt_for(question: Question, lesson: Lesson) -> tuple[int, ...] | None:
        if scope.includes(question.text):
            return None
        prompt = None
        if recall:
            block = recall[0].served(question, recall[1])
            prompt = below(engine, recall[0].settings, question, block, len(lesson.chosen))
        return prompt or question.prompt

    return _replace_answers(engine, lessons, said, prompt_for, known)


def _replace_answers(
    engine: Engine,
    lessons: Sequence[Lesson],
    said: LessonAnswers,
    prompt_for: Callable[[Question, Lesson], tuple[int, ...] | None],
    known: KnownAnswers | None,
) -> LessonAnswers:
    """Return `said` with new answers where `prompt_for` returns a prompt; None keeps an answer."""
    known = {} if known is None else known
    wanted: dict[tuple[str, int, int], Wanted] = {}
    for number, lesson in enumerate(lessons):
        for name, questions in _groups(lesson).items():
            for place, question in enumerate(questions):
                if (prompt := prompt_for(question, lesson)) is not None:
                    asked = replace(_wanted(lesson, question), prompt=prompt)
                    wanted[name, number, place] = asked
    missing = [one for one in dict.fromkeys(wanted.values()) if one not in known]
    known.update(zip(missing, answers(engine, missing), strict=True))
    found = {place: known[one] for place, one in wanted.items()}

    def of(name: str, groups: Sequence[Sequence[Answer]]) -> tuple[tuple[Answer, ...], ...]:
        return tuple(
            tuple(found.get((name, number, place), one) for place, one in enumerate(some))
            for number, some in enumerate(groups)
        )

    return LessonAnswers(
        tuple(one for (one,) in of("asked", [(one,) for one in said.asked])),
        of("held_out", said.reworded),
        of("places", said.placed),
    )


def _groups(lesson: Lesson) -> dict[str, Sequence[Question]]:
    return {"asked": (lesson.question,), "held_out": lesson.held_out, "places": lesson.places}


def _wanted(lesson: Lesson, question: Question) -> Wanted:
    return Wanted(question.prompt, lesson.chosen, lesson.expected)


def _questions(lessons: Sequence[Lesson], name: Literal["held_out", "places"]) -> list[Wanted]:
    return [_wanted(lesson, question) for lesson in lessons for question in getattr(lesson, name)]


def _by_lesson(
    lessons: Sequence[Lesson],
    asked: Sequence[Answer],
    reworded: Sequence[Answer],
    placed: Sequence[Answer],
) -> LessonAnswers:
    words, places = iter(reworded), iter(placed)
    return LessonAnswers(
        tuple(asked),
        tuple(tuple(next(words) for _ in x.held_out) for x in lessons),
        tuple(tuple(next(places) for _ in x.places) for x in lessons),
    )


def prompts_of(lessons: Sequence[Lesson]) -> int:
    """Return how many prompts `answer_lessons` asks."""
    return sum(1 + len(lesson.held_out) + len(lesson.places) for lesson in lessons)
