"""Compose the curriculum of a night: everything that it trains and measures.

This is the lessons of all differences that count (`trainer/lessons/lesson.py`,
`trainer/lessons/conflicts.py`), and what must stay the same (`trainer/lessons/anchor_selection.py`), as
answered by the base (`trainer/lessons/base_answers.py`). Pure except for the base's answers.

A difference that cannot be made a lesson (too long for the context, or any other error) is left out and
recorded in `Curriculum.left_out`, the older side of a conflict in `Curriculum.superseded`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from memory.difference import Difference, Message
from memory.errors import DiscernError
from memory.sentence import Sentence, verbatim
from memory.text.stemming import plain
from trainer.fit.job import ANCHOR, Sample
from trainer.lessons.anchor_selection import (
    anchor_prompts,
    corrected_replies,
    near_prompts,
)
from trainer.lessons.base_answers import Anchor, BaseAnswers
from trainer.lessons.conflicts import Conflict, current_differences, find_conflicts, siblings_of
from trainer.lessons.contexts import ContextBuilder
from trainer.lessons.lesson import Asker, Lesson, lessons_of

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from memory.settings.settings import Settings

WORDINGS, WORDINGS_IN_ALL = (10, 24), 1600
"""Least and most rephrasings to train a lesson with, and their approximate total."""
WHOLE, BEGINNING = 3, 10
"""One of this many replies is trained on to its end, the others for this many tokens."""


@dataclass(frozen=True, slots=True)
class Conversations:
    """What was said around the marks.

    The user's unmarked questions (`unmarked_questions`), and the thread of each mark as it is now,
    by its id (`current_threads`).
    """

    unmarked_questions: Sequence[str] = ()
    threads: Mapping[str, tuple[Message, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Curriculum:
    """Everything that a night trains and measures.

    `before` is the base's own answer to each lesson's question. `superseded` maps the id of a
    difference that is left out to the one that replaces it, and `left_out` the id of one without a
    lesson to the reason.
    """

    lessons: tuple[Lesson, ...]
    before: tuple[str, ...]
    held: tuple[Anchor, ...]
    """Anchors and near misses to train with."""
    near_misses: tuple[Anchor, ...]
    anchors: tuple[Anchor, ...]
    superseded: dict[str, str]
    left_out: dict[str, Sentence]
    conflicts: tuple[Conflict, ...] = ()

    @property
    def differences(self) -> tuple[str, ...]:
        """Ids of the differences that have a lesson, in order."""
        return tuple(dict.fromkeys(lesson.difference for lesson in self.lessons))

    def samples(self) -> tuple[Sample, ...]:
        """Return the training sequences of `trainer/fit/training_loop.py`."""
        return samples_of(self.lessons, self.held)


def samples_of(lessons: Sequence[Lesson], held: Sequence[Anchor]) -> tuple[Sample, ...]:
    """Return every training sequence: each wording of each lesson, then the anchors in `held`.

    Only the question as it was asked is contrasted with the rejected reply; the ranges of the contrast
    count from the start of the sequence.
    """
    made: list[Sample] = []
    for number, lesson in enumerate(lessons):
        reworded = (*lesson.rephrasings, *lesson.contexts)
        asked = [(question, 0) for question in (lesson.question, *lesson.places)]
        for question, variant in [*asked, *((q, n) for n, q in enumerate(reworded, 1))]:
            size = len(question.prompt)
            contrasted = lesson.rejected if question is lesson.question else None
            made.append(
                Sample(
                    tokens=(*question.prompt, *lesson.chosen),
                    prompt=size,
                    lesson=number,
                    difference=lesson.difference,
                    variant=variant,
                    weight=lesson.weight,
                    rejected=(*question.prompt, *contrasted) if contrasted else (),
                    parts=tuple(size + place for part in lesson.parts for place in part)
                    if contrasted and lesson.parts
                    else (),
                )
            )
    for number, anchor in enumerate(held):
        # What follows an unchanged beginning seldom changes, so the beginning of most replies is
        # enough.
        size = len(anchor.reply) if number % WHOLE == 0 else BEGINNING
        made.append(
            Sample(
                tokens=(*anchor.prompt, *anchor.reply[:size]),
                prompt=len(anchor.prompt),
                lesson=ANCHOR,
                top=(anchor.ids[:size], anchor.logs[:size]),
            )
        )
    return tuple(made)


def make_lessons(
    engine: Engine, differences: Sequence[Difference], settings: Settings
) -> tuple[list[Lesson], dict[str, str], dict[str, Sentence]]:
    """Return the lessons of the differences that count, the replaced ids, and why others do not.

    This is what `discern lessons` shows; only token ids are computed.
    """
    chosen, superseded = current_differences(differences)
    ask = Asker(engine, settings)
    lessons: list[Lesson] = []
    left_out: dict[str, Sentence] = {}
    # With many lessons each needs fewer rephrasings: frames around questions are learnt from all.
    wordings = max(WORDINGS[0], min(WORDINGS[1], WORDINGS_IN_ALL // max(1, len(chosen))))
    for difference in chosen:
        siblings = siblings_of(difference, chosen)
        try:
            lessons += lessons_of(difference, siblings, ask, engine, wordings=wordings)
        except Exception as error:  # an error in one does not stop the others
            left_out[difference.id] = (
                error.sentence
                if isinstance(error, DiscernError)
                else verbatim(f"{type(error).__name__}: {error}")
            )
    return _without_shared_wordings(lessons), superseded, left_out


def _without_shared_wordings(lessons: Sequence[Lesson]) -> list[Lesson]:
    """Leave out rephrasings that a lesson with another reply has too ("who Zubrowka?")."""
    wanted: dict[tuple[object, str], set[str]] = {}
    for lesson in lessons:
        for question in (lesson.question, *lesson.rephrasings, *lesson.held_out):
            wanted.setdefault((question.before, plain(question.text)), set()).add(lesson.expected)
    return [
        replace(
            lesson,
            rephrasings=tuple(
                question
                for question in lesson.rephrasings
                if len(wanted[question.before, plain(question.text)]) == 1
            ),
        )
        for lesson in lessons
    ]


def make_curriculum(
    engine: Engine,
    differences: Sequence[Difference],
    answers: BaseAnswers,
    settings: Settings,
    progress: Callable[[int, int], None] = lambda done, total: None,
    conversations: Conversations | None = None,
) -> Curriculum:
    """Return the lessons of `differences` and the base's answers to all that must stay the same.

    `differences` are those of the journal, oldest first. The engine must serve the base alone.
    `progress` reports how many of the base's answers are ready.
    """
    around = conversations or Conversations()
    lessons, superseded, left_out = make_lessons(engine, differences, settings)
    ask = Asker(engine, settings)
    taken = {plain(q.text) for x in lessons for q in (x.question, *x.rephrasings, *x.held_out)}
    trained, measured = near_prompts(lessons, taken, settings.training.seed)
    to_hold, to_measure = anchor_prompts(lessons, around.unmarked_questions, taken, settings)
    trained, measured, to_hold, to_measure = (
        [text for text in texts if ask.fits(text)]
        for texts in (trained, measured, to_hold, to_measure)
    )
    groups = [
        [lesson.question.text for lesson in lessons],
        [*trained, *to_hold],
        measured,
        to_measure,
    ]
    pairs = [(text, ask(text).prompt) for group in groups for text in group]
    for place, lesson in enumerate(lessons):
        pairs[place] = (lesson.question.text, lesson.question.prompt)
    later = (len(trained) + len(to_hold) + len(measured) + len(to_measure)) // 2
    found = answers.get(pairs, lambda done, total: progress(done, total + later))
    ends = [sum(len(group) for group in groups[: number + 1]) for number in range(4)]
    before = tuple(anchor.text for anchor in found[: ends[0]])
    away = corrected_replies(lessons, before, found[ends[0] :])
    held, near, anchors = (
        [anchor for anchor in found[start:end] if anchor.text not in away]
        for start, end in pairwise(ends)
    )
    look_alike = set(trained)
    trained_near = [anchor for anchor in held if anchor.asked in look_alike]
    places = ContextBuilder(
        ask,
        lessons,
        differences,
        around.threads,
        [anchor for anchor in held if anchor.asked not in look_alike],
        settings.training.seed,
    )
    elsewhere = [
        [*places.held(held), *places.answered(trained_near)],
        [*places.held(near), *places.answered(near)],
        places.held(anchors),
    ]
    flat = [(asked.text, asked.prompt) for group in elsewhere for asked in group]
    said = iter(
        answers.get(
            flat,
            lambda done, total: progress(len(pairs) + done * later // total, len(pairs) + later),
        )
    )
    # If the base answers differently than in a new thread, the context changed the answer.
    kept = [
        [anchor for asked in group if (anchor := next(said)).text == asked.same_as]
        for group in elsewhere
    ]
    held, near, anchors = (
        [*group, *more] for group, more in zip((held, near, anchors), kept, strict=True)
    )
    progress(len(pairs) + later, len(pairs) + later)
    return Curriculum(
        lessons=tuple(places.with_contexts(lesson) for lesson in lessons),
        before=before,
        held=tuple(held),
        near_misses=tuple(near),
        anchors=tuple(anchors),
        superseded=superseded,
        left_out=left_out,
        conflicts=find_conflicts(differences),
    )
