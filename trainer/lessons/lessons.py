"""Compose the curriculum of a night: everything that it trains and measures.

This is the lessons of all differences that count (`trainer/lessons/lesson.py`,
`trainer/lessons/conflicting_lessons.py`), and what must stay the same
(`trainer/lessons/anchors/choose_unchanged_prompts.py`), as answered by the base
(`trainer/lessons/anchors/base_answers.py`). Pure except for the base's answers.

A difference that cannot be made a lesson (too long for the context, or any other error) is left out and
recorded in `Curriculum.left_out`, the older side of a conflict in `Curriculum.superseded`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from memory.difference import Difference, Message
from memory.errors import DiscernError
from memory.sentence import Sentence, verbatim
from memory.text.stemming import plain
from trainer.fit.job import ANCHOR, Sample
from trainer.lessons.anchors.base_answers import Anchor, BaseAnswers, prompts
from trainer.lessons.anchors.choose_unchanged_prompts import (
    HeldPrompts,
    anchor_prompts,
    corrected_replies,
    near_prompts,
)
from trainer.lessons.anchors.likelihood import Likelihood
from trainer.lessons.conflicting_lessons import (
    Conflict,
    current_differences,
    find_conflicts,
    siblings_of,
)
from trainer.lessons.contexts import Asked, BaseExchanges, ContextBuilder
from trainer.lessons.lesson import Asker, Lesson, lessons_of
from trainer.lessons.rephrase import is_russian

if TYPE_CHECKING:
    from pathlib import Path

    from agent.llama.engine import Engine
    from memory.settings.settings import Settings

WORDINGS, WORDINGS_IN_ALL = (10, 24), 1600
"""Least and most rephrasings to train a lesson with, and their approximate total."""
AT_ONCE = 128
"""Prompts asked between two checks of the time."""
NEAR_PER_OTHER = 3.0
"""Near misses drawn for each other anchor: it takes many to learn which question is meant."""
MOST_OFTEN = 4.0
"""Most times as often that near misses are drawn as other anchors, if there are few of them."""
WHOLE, BEGINNING = 3, 10
"""One of this many replies is trained on to its end, the others for this many tokens."""


@dataclass(frozen=True, slots=True)
class Conversations:
    """The conversations around the marks.

    `unmarked_questions` are those of the user (`unmarked_questions`), `threads` the current thread of
    each difference by its id (`current_threads`).
    """

    unmarked_questions: Sequence[str] = ()
    threads: Mapping[str, tuple[Message, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CurriculumPlan:
    """The lessons of a night and the prompts to ask the base, before they are asked.

    `superseded` and `left_out` are as in `Curriculum`.
    """

    lessons: tuple[Lesson, ...]
    held: HeldPrompts
    superseded: dict[str, str]
    left_out: dict[str, Sentence]
    differences: tuple[Difference, ...]
    around: Conversations

    @property
    def prompts(self) -> int:
        """Number of prompts in a new thread."""
        return len(self.lessons) + self.held.count

    @property
    def prompts_in_context(self) -> int:
        """Approximate number of prompts in a conversation or below a recalled block."""
        return self.held.count // 2


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
    look_alikes: tuple[str, ...] = ()
    """The near misses among the questions of `held`."""

    @property
    def differences(self) -> tuple[str, ...]:
        """Ids of the differences that have a lesson, in order."""
        return tuple(dict.fromkeys(lesson.difference for lesson in self.lessons))

    def samples(self, near: float = 1.0) -> tuple[Sample, ...]:
        """Return the training sequences of `trainer/fit/training_loop.py`.

        Of the anchors that a step draws at first, about NEAR_PER_OTHER near misses come with one other;
        `near` multiplies that.
        """
        known = frozenset(self.look_alikes)
        alike = sum(anchor.asked in known for anchor in self.held)
        often = min(MOST_OFTEN, max(1.0, (len(self.held) - alike) / max(1, alike)))
        often *= NEAR_PER_OTHER * near
        return samples_of(self.lessons, self.held, dict.fromkeys(self.look_alikes, often))


def samples_of(
    lessons: Sequence[Lesson], held: Sequence[Anchor], often: Mapping[str, float] | None = None
) -> tuple[Sample, ...]:
    """Return every training sequence: each wording of each lesson, then the anchors in `held`.

    `often` is how often the anchors of a question are drawn, 1 where it is not given. Only the
    question as it was asked is contrasted with the rejected reply; the ranges of the contrast count
    from the start of the sequence.
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
                weight=(often or {}).get(anchor.asked, 1.0),
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
    # With many lessons, each needs fewer rephrasings: frames around questions are learned from all.
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
    """Leave out rephrasings shared with a lesson that has another reply ("who Zubrowka?")."""
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


def plan_curriculum(
    engine: Engine,
    differences: Sequence[Difference],
    settings: Settings,
    conversations: Conversations | None = None,
    likelihoods: Path | None = None,
) -> CurriculumPlan:
    """Return the lessons of `differences` and the prompts whose answers must stay the same.

    `differences` are those of the journal, oldest first. The base is not asked for answers yet; only
    the likelihood of the prompts is computed, and cached in the file `likelihoods`.
    """
    around = conversations or Conversations()
    lessons, superseded, left_out = make_lessons(engine, differences, settings)
    ask = Asker(engine, settings)
    taken = {plain(q.text) for x in lessons for q in (x.question, *x.rephrasings, *x.held_out)}
    likelihood = Likelihood(ask, likelihoods)
    own = [text for text in around.unmarked_questions if ask.fits(text)]
    near_trained, near_measured = near_prompts(
        lessons, taken, settings.training.seed, likelihood=likelihood, talk=own
    )
    languages = likelihood.spoken([text for half in prompts() for text in half]) | {
        "russian" if is_russian(lesson.question.text) else "english" for lesson in lessons
    }
    trained, measured = anchor_prompts(lessons, own, taken, settings, languages)
    likelihood.save()
    groups = (near_trained, trained, near_measured, measured)
    held = HeldPrompts(*(tuple(text for text in texts if ask.fits(text)) for texts in groups))
    questions = list(dict.fromkeys(x.question.text for x in lessons if x.kind != "naming"))
    return CurriculumPlan(
        tuple(lessons),
        held.ordered(questions),
        superseded,
        left_out,
        tuple(differences),
        around,
    )


def make_curriculum(
    engine: Engine,
    differences: Sequence[Difference],
    answers: BaseAnswers,
    settings: Settings,
    progress: Callable[[int, int], None] = lambda done, total: None,
    conversations: Conversations | None = None,
) -> Curriculum:
    """Return the lessons of `differences` and the base's answers to all that must stay the same.

    See `plan_curriculum` and `answer_plan`.
    """
    plan = plan_curriculum(engine, differences, settings, conversations, answers.likelihoods)
    return answer_plan(engine, plan, answers, settings, progress)


def answer_plan(
    engine: Engine,
    plan: CurriculumPlan,
    answers: BaseAnswers,
    settings: Settings,
    progress: Callable[[int, int], None] = lambda done, total: None,
    over: Callable[[], bool] = lambda: False,
) -> Curriculum:
    """Ask the base everything in `plan` and return the curriculum.

    The engine must have no adapter. `progress` reports how many answers are ready. Once `over` returns
    true, only the lessons' own questions are asked, and prompts without an answer are left out.
    """
    lessons = plan.lessons
    ask = Asker(engine, settings)
    asking = _Asking(answers, progress, over, plan.prompts + plan.prompts_in_context)
    own = [(lesson.question.text, lesson.question.prompt) for lesson in lessons]
    before = tuple(anchor.text for anchor in asking.all(own))
    found = asking.groups(
        [[(text, ask(text).prompt) for text in group] for group in plan.held.groups]
    )
    corrected = corrected_replies(lessons, before, [anchor for group in found for anchor in group])
    near_trained, trained, near, anchors = (
        [anchor for anchor in group if anchor.text not in corrected] for group in found
    )
    places = ContextBuilder(
        ask,
        lessons,
        plan.differences,
        plan.around.threads,
        BaseExchanges(small_talk=trained, look_alikes=near_trained),
        settings,
    )
    elsewhere = [
        [*places.held([*near_trained, *trained]), *places.answered(near_trained)],
        [*places.held(near), *places.answered(near)],
        places.held(anchors),
    ]
    said = asking.groups([[(asked.text, asked.prompt) for asked in group] for group in elsewhere])
    # If the base answers differently than in a new thread, the context changed the answer.
    kept = [_unchanged(group, some) for group, some in zip(elsewhere, said, strict=True)]
    held, near, anchors = (
        [*group, *more]
        for group, more in zip(([*near_trained, *trained], near, anchors), kept, strict=True)
    )
    asking.end()
    return Curriculum(
        lessons=tuple(places.with_contexts(lesson) for lesson in lessons),
        before=before,
        held=tuple(held),
        near_misses=tuple(near),
        anchors=tuple(anchors),
        superseded=plan.superseded,
        left_out=plan.left_out,
        conflicts=find_conflicts(plan.differences),
        look_alikes=tuple(dict.fromkeys(anchor.asked for anchor in near_trained)),
    )


def _unchanged(asked: Sequence[Asked], said: Sequence[Anchor]) -> list[Anchor]:
    """Return the answers that are as expected; `said` may lack the last ones."""
    wanted = {(one.text, one.prompt): one.same_as for one in asked}
    return [x for x in said if wanted[x.asked, x.prompt] in (None, x.text)]


@dataclass(slots=True)
class _Asking:
    """Asks the base as long as there is time, and reports the progress."""

    answers: BaseAnswers
    progress: Callable[[int, int], None]
    over: Callable[[], bool]
    total: int
    done: int = 0

    def all(self, asked: Sequence[tuple[str, tuple[int, ...]]]) -> list[Anchor]:
        """Return the answers to (text, prompt tokens) pairs, however long it takes."""
        begun = self.done
        found = self.answers.get(asked, lambda done, _total: self._count(begun + done))
        self.done = begun + len(asked)
        return found

    def groups(self, groups: Sequence[Sequence[tuple[str, tuple[int, ...]]]]) -> list[list[Anchor]]:
        """Return the answers of each group; the front of every group is asked first."""
        places = sorted(
            ((rank / len(group), number, rank) for number, group in enumerate(groups)
             for rank in range(len(group)))
        )  # fmt: skip
        found: list[list[Anchor]] = [[] for _ in groups]
        for start in range(0, len(places), AT_ONCE):
            some = places[start : start + AT_ONCE]
            pairs = [groups[number][rank] for _, number, rank in some]
            if self.over():
                # Cached answers cost no time.
                kept = [self.answers.known(prompt) for _, prompt in pairs]
                some = [place for place, known in zip(some, kept, strict=True) if known]
                pairs = [pair for pair, known in zip(pairs, kept, strict=True) if known]
            for (_, number, _), anchor in zip(some, self.all(pairs), strict=True):
                found[number].append(anchor)
        return found

    def end(self) -> None:
        """Report that all is done, even if there were fewer prompts than expected."""
        self.progress(self.total, self.total)

    def _count(self, done: int) -> None:
        self.total = max(self.total, done)
        self.progress(done, self.total)
