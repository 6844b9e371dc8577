"""Differences → all that one night trains and measures.

The lessons of each difference that counts (`trainer/teach.py`, `trainer/conflicts.py`), and beside
them what must stay as it is: near-misses of every question, unrelated prompts that ship with the
project, and the person's own unmarked questions, all answered by the base alone
(`trainer/anchors.py`). One half of each is trained with, the other kept for the gate.

Pure but for the base's answers. Refuses nothing: a lesson too long for the context is left out and
named in `Curriculum.too_long`, an older side of a conflict in `superseded`.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from memory.difference import Difference, Turn
from memory.errors import ModelError
from memory.words import plain
from trainer.anchors import Anchor, Answers, prompts
from trainer.conflicts import Conflict, current_differences, find_conflicts, siblings_of
from trainer.job import ANCHOR, Sample
from trainer.nearmiss import near_misses
from trainer.teach import Asker, Kind, Lesson, Question, lessons_of

if TYPE_CHECKING:
    from agent.engine import Engine
    from memory.home import Settings

__all__ = [
    "Asker",
    "Conflict",
    "Curriculum",
    "Kind",
    "Lesson",
    "Question",
    "current_differences",
    "find_conflicts",
    "make_curriculum",
    "samples_of",
    "teach",
    "unmarked",
]

NEAR_TRAINED, NEAR_MEASURED = 16, 4
"""Near-misses of a difference: held in training, and kept back for the gate (at least)."""
NEAR_AT_MOST = 800
"""Near-misses held in all: each costs an answer of the base."""
FEWEST_MEASURED = 12
"""Near-misses that the gate asks at least, so that one of them alone does not decide."""
MOST_MEASURED = 200
FEWEST_ANCHORS, MOST_ANCHORS = 200, 400
MEASURED_ANCHORS = 48
WORDINGS, WORDINGS_IN_ALL = (10, 24), 1600
"""Rephrasings a lesson is trained with, at least and at most, and about how many there are in all."""
WHOLE, BEGINNING = 3, 10
"""Of so many replies one is held to its end, the others for so many tokens."""
ASKS_THE_SAME = 4
"""Prompts that the base answers alike at most, for that answer to tell what was asked."""
OWN = 60
"""Own unmarked questions used at most, the latest."""


@dataclass(frozen=True, slots=True)
class Curriculum:
    """All that one night trains and measures.

    `before` is the base's own answer to each lesson's question. `superseded` maps the id of a
    difference that is left out to the one that counts in its place; `too_long` maps the ids that do
    not fit the context to a sentence.
    """

    lessons: tuple[Lesson, ...]
    before: tuple[str, ...]
    held: tuple[Anchor, ...]
    """Anchors and near-misses to train with."""
    near_misses: tuple[Anchor, ...]
    anchors: tuple[Anchor, ...]
    superseded: dict[str, str]
    too_long: dict[str, str]
    conflicts: tuple[Conflict, ...] = ()

    @property
    def differences(self) -> tuple[str, ...]:
        """Ids of the differences that have a lesson, in order."""
        return tuple(dict.fromkeys(lesson.difference for lesson in self.lessons))

    def samples(self) -> tuple[Sample, ...]:
        """Return the training sequences of `trainer/fit.py`."""
        return samples_of(self.lessons, self.held)


def samples_of(lessons: Sequence[Lesson], held: Sequence[Anchor]) -> tuple[Sample, ...]:
    """Return every sequence that is trained on: each wording of each lesson, then what is held.

    The contrast with the rejected reply is drawn on the question as it was asked; its ranges count
    from the start of the sequence.
    """
    made: list[Sample] = []
    for number, lesson in enumerate(lessons):
        for variant, question in enumerate((lesson.question, *lesson.rephrasings)):
            size = len(question.prompt)
            contrasted = lesson.rejected if variant == 0 else None
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
        # What comes after a right beginning seldom moves: most replies are held by their beginning.
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


def teach(
    engine: Engine, differences: Sequence[Difference], settings: Settings
) -> tuple[list[Lesson], dict[str, str], dict[str, str]]:
    """Return the lessons of the differences that count; replaced ids; ids left out as too long.

    What `discern lessons` shows: nothing is computed but token ids.
    """
    chosen, superseded = current_differences(differences)
    ask = Asker(engine, settings)
    lessons: list[Lesson] = []
    too_long: dict[str, str] = {}
    # Among many lessons each needs fewer: what surrounds a question is learnt from all of them.
    wordings = max(WORDINGS[0], min(WORDINGS[1], WORDINGS_IN_ALL // max(1, len(chosen))))
    for difference in chosen:
        siblings = siblings_of(difference, chosen)
        try:
            lessons += lessons_of(difference, siblings, ask, engine, wordings=wordings)
        except ModelError as error:
            too_long[difference.id] = str(error)
    return _without_shared_wordings(lessons), superseded, too_long


def _without_shared_wordings(lessons: Sequence[Lesson]) -> list[Lesson]:
    """Leave out rephrasings that lessons with other replies are asked by too ("who Zubrowka?")."""
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
    answers: Answers,
    settings: Settings,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    own: Sequence[str] = (),
) -> Curriculum:
    """Return the lessons of `differences` and the base's answers to all that must stay.

    `differences` are the journal's, oldest first; `own` are the person's unmarked questions
    (`unmarked`). The engine must serve the base alone. `progress` hears how many of the base's
    answers are there.
    """
    lessons, superseded, too_long = teach(engine, differences, settings)
    ask = Asker(engine, settings)
    taken = {plain(q.text) for x in lessons for q in (x.question, *x.rephrasings, *x.held_out)}
    trained, measured = _near_misses(lessons, taken, settings.training.seed)
    to_hold, to_measure = _anchors(lessons, own, taken, settings)
    groups = [
        [lesson.question.text for lesson in lessons],
        [*trained, *to_hold],
        measured,
        to_measure,
    ]
    pairs = [(text, ask(text).prompt) for group in groups for text in group]
    for place, lesson in enumerate(lessons):
        pairs[place] = (lesson.question.text, lesson.question.prompt)
    found = answers.get(pairs, progress)
    ends = [sum(len(group) for group in groups[: number + 1]) for number in range(4)]
    before = tuple(anchor.text for anchor in found[: ends[0]])
    corrected = _corrected(lessons, before, found[ends[0] :])
    held, near, anchors = (
        tuple(anchor for anchor in found[start:end] if anchor.text not in corrected)
        for start, end in pairwise(ends)
    )
    return Curriculum(
        lessons=tuple(lessons),
        before=before,
        held=held,
        near_misses=near,
        anchors=anchors,
        superseded=superseded,
        too_long=too_long,
        conflicts=find_conflicts(differences),
    )


def _near_misses(
    lessons: Sequence[Lesson], taken: set[str], seed: int
) -> tuple[list[str], list[str]]:
    """Return the near-misses to train with and those for the gate; adds them to `taken`."""
    asked = list(dict.fromkeys(x.question.text for x in lessons if x.kind != "naming"))
    kept_back = max(NEAR_MEASURED, math.ceil(FEWEST_MEASURED / max(1, len(asked))))
    kept_back = max(1, min(kept_back, MOST_MEASURED // max(1, len(asked))))
    to_train = max(2, min(NEAR_TRAINED, NEAR_AT_MOST // max(1, len(asked))))
    trained: list[str] = []
    measured: list[str] = []
    for question in asked:
        others = [text for text in asked if text != question]
        near = [
            text
            for text in near_misses(question, others, count=to_train + kept_back, seed=seed)
            if plain(text) not in taken
        ]
        taken.update(plain(text) for text in near)
        # Alternately, so that real and invented names stand on both sides.
        measured += near[1::2][:kept_back]
        trained += [text for text in near if text not in near[1::2][:kept_back]]
    return trained, measured


def _anchors(
    lessons: Sequence[Lesson], own: Sequence[str], taken: set[str], settings: Settings
) -> tuple[list[str], list[str]]:
    """Return the unrelated prompts to train with and those for the gate, own questions first."""
    halves: tuple[list[str], list[str]] = ([], [])
    for text in own[:OWN]:
        halves[hashlib.sha256(plain(text).encode()).digest()[-1] % 2].append(text)
    wanted = max(FEWEST_ANCHORS, settings.training.anchors_per_lesson * len(lessons))
    sizes = (min(MOST_ANCHORS, wanted), MEASURED_ANCHORS)
    shipped = prompts()
    made: list[list[str]] = []
    for mine, theirs, size in zip(halves, shipped, sizes, strict=True):
        # At most half of what the gate asks is the person's own: the rest is the same every night.
        texts = [text for text in (*mine[: size // 2], *theirs) if plain(text) not in taken]
        made.append(list(dict.fromkeys(texts))[:size])
    return made[0], made[1]


def _corrected(
    lessons: Sequence[Lesson], before: Sequence[str], others: Sequence[Anchor]
) -> set[str]:
    """Return the base's replies that a lesson takes the place of: who gets one asks the same, in
    whatever words, and shall hear what was taught. A reply that many get ("I don't know") tells
    nothing."""
    wrong = {
        said
        for lesson, said in zip(lessons, before, strict=True)
        if lesson.kind == "contrast" and said != lesson.expected
    }
    heard = Counter(anchor.text for anchor in others)
    return {said for said in wrong if heard[said] <= ASKS_THE_SAME}


def unmarked(turns: Sequence[Turn], differences: Sequence[Difference]) -> list[str]:
    """Return the questions of turns that were never marked, the latest first, each once.

    They show what this person talks about, so that training is held in place there. Questions of
    marked turns, whatever they asked, and long ones are left out.
    """
    marked = {item.turn for item in differences}
    asked = {plain(item.asked) for item in differences}
    found: dict[str, str] = {}
    for turn in sorted(turns, key=lambda item: item.at, reverse=True):
        key = plain(turn.asked)
        if turn.id not in marked and key not in asked and 0 < len(key) <= 400:
            found.setdefault(key, turn.asked.strip())
    return list(found.values())
