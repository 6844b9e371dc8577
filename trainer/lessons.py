"""Differences → lessons, and what must stay as it is beside them.

A difference that teaches becomes a contrast (chosen: how it should have sounded; rejected: the marked
reply) or a hold (chosen: the reply itself), and, where the person wrote what was missed or lost, a
second lesson in naming that break. A bare mark becomes nothing. Of two differences with the same
question the newer counts. Every prompt is made by `agent/prompt.py` with the served vocabulary, so
the model is trained on exactly what it will be asked.

Pure but for the base's answers (`trainer/anchors.py`). Refuses nothing: a lesson too long for the
context is left out and named in `Curriculum.too_long`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agent.prompt import compose, reply_tokens
from memory.difference import Difference, Message, Moment
from memory.errors import ModelError
from memory.words import plain
from trainer import rephrase
from trainer.anchors import Anchor, Answers, prompts
from trainer.job import ANCHOR, Sample

if TYPE_CHECKING:
    from agent.engine import Engine
    from memory.home import Settings

Kind = Literal["contrast", "hold", "naming"]
NAMING_WEIGHT = 0.5
NEAR_TRAINED, NEAR_MEASURED = 16, 4
"""Near-misses of a difference: held in training, and kept back for the gate (at least)."""
FEWEST_MEASURED = 12
"""Near-misses that the gate asks at least, so that one of them alone does not decide."""
FEWEST_ANCHORS = 80
MEASURED_ANCHORS = 48
LONGEST_REPLY = 512


@dataclass(frozen=True, slots=True)
class Question:
    """A user's message and the prompt that it becomes."""

    text: str
    prompt: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one difference teaches, as token ids; `chosen` and `rejected` end with the end of turn."""

    difference: str
    kind: Kind
    question: Question
    expected: str
    chosen: tuple[int, ...]
    rejected: tuple[int, ...] | None
    weight: float
    rephrasings: tuple[Question, ...] = ()
    held_out: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True)
class Curriculum:
    """All that one night trains and measures.

    `before` is the base's own answer to each lesson's question. `superseded` maps the id of an older
    difference to the newer one with the same question; `too_long` lists ids that do not fit.
    """

    lessons: tuple[Lesson, ...]
    before: tuple[str, ...]
    held: tuple[Anchor, ...]
    """Anchors and near-misses to train with."""
    near_misses: tuple[Anchor, ...]
    anchors: tuple[Anchor, ...]
    superseded: dict[str, str]
    too_long: tuple[str, ...]

    @property
    def differences(self) -> tuple[str, ...]:
        """Ids of the differences that have a lesson, in order."""
        return tuple(dict.fromkeys(lesson.difference for lesson in self.lessons))

    def samples(self) -> tuple[Sample, ...]:
        """Return the training sequences of `trainer/fit.py`."""
        made: list[Sample] = []
        for number, lesson in enumerate(self.lessons):
            for variant, question in enumerate((lesson.question, *lesson.rephrasings)):
                rejected = (*question.prompt, *lesson.rejected) if lesson.rejected else ()
                made.append(
                    Sample(
                        tokens=(*question.prompt, *lesson.chosen),
                        prompt=len(question.prompt),
                        lesson=number,
                        variant=variant,
                        weight=lesson.weight,
                        rejected=rejected if variant == 0 else (),
                    )
                )
        for anchor in self.held:
            made.append(
                Sample(
                    tokens=(*anchor.prompt, *anchor.reply),
                    prompt=len(anchor.prompt),
                    lesson=ANCHOR,
                    top=(anchor.ids, anchor.logs),
                )
            )
        return tuple(made)


def current_differences(
    differences: Sequence[Difference],
) -> tuple[list[Difference], dict[str, str]]:
    """Return those that teach, one a question (the newest), and older id → newer id for the rest."""
    newest: dict[str, Difference] = {}
    superseded: dict[str, str] = {}
    for difference in differences:  # oldest first
        if not difference.teaches:
            continue
        key = plain(difference.asked).rstrip("?!. ")
        if older := newest.pop(key, None):
            superseded = {
                old: difference.id if new == older.id else new for old, new in superseded.items()
            }
            superseded[older.id] = difference.id
        newest[key] = difference
    return list(newest.values()), superseded


def make_curriculum(
    engine: Engine,
    differences: Sequence[Difference],
    answers: Answers,
    settings: Settings,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Curriculum:
    """Return the lessons of `differences` and the base's answers to all that must stay.

    `differences` are the journal's, oldest first; the engine must serve the base alone. `progress`
    hears how many of the base's answers are there.
    """
    chosen, superseded = current_differences(differences)
    ask = Asker(engine, settings)
    lessons: list[Lesson] = []
    too_long: list[str] = []
    for difference in chosen:
        try:
            lessons += _lessons(difference, ask, engine)
        except ModelError:
            too_long.append(difference.id)
    asked = [difference.asked for difference in chosen]
    kept_back = max(NEAR_MEASURED, math.ceil(FEWEST_MEASURED / max(1, len(asked))))
    taken = {plain(q.text) for x in lessons for q in (x.question, *x.rephrasings, *x.held_out)}
    trained: list[str] = []
    measured: list[str] = []
    for question in asked:
        others = [text for text in asked if text != question]
        near = [
            text
            for text in rephrase.near_misses(
                question, others, count=NEAR_TRAINED + kept_back, seed=settings.training.seed
            )
            if plain(text) not in taken
        ]
        taken.update(plain(text) for text in near)
        # Alternately, so that real and invented names stand on both sides.
        measured += near[1::2][:kept_back]
        trained += [text for text in near if text not in near[1::2][:kept_back]]
    to_hold, to_measure = (
        [text for text in half if plain(text) not in taken] for half in prompts()
    )
    wanted = max(FEWEST_ANCHORS, settings.training.anchors_per_lesson * len(lessons))
    groups = [
        [lesson.question.text for lesson in lessons],
        [*trained, *to_hold[:wanted]],
        measured,
        to_measure[:MEASURED_ANCHORS],
    ]
    pairs = [(text, ask(text).prompt) for group in groups for text in group]
    for place, lesson in enumerate(lessons):
        pairs[place] = (lesson.question.text, lesson.question.prompt)
    found = answers.get(pairs, progress)
    ends = [sum(len(group) for group in groups[: number + 1]) for number in range(4)]
    return Curriculum(
        lessons=tuple(lessons),
        before=tuple(anchor.text for anchor in found[: ends[0]]),
        held=tuple(found[ends[0] : ends[1]]),
        near_misses=tuple(found[ends[1] : ends[2]]),
        anchors=tuple(found[ends[2] : ends[3]]),
        superseded=superseded,
        too_long=tuple(too_long),
    )


class Asker:
    """Makes a `Question` of a user's message, the way the chat asks it in a fresh thread."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        system = settings.chat.system
        self._head = [Message("system", system)] if system.strip() else []
        self._thinking = settings.chat.thinking

    def __call__(self, text: str, *, room: int = LONGEST_REPLY) -> Question:
        room = min(room, self._engine.info.context // 2)
        messages = [*self._head, Message("user", text)]
        made = compose(self._engine, messages, thinking=self._thinking, room=room)
        return Question(text, made.tokens)


def _lessons(difference: Difference, ask: Asker, engine: Engine) -> list[Lesson]:
    contrast = difference.contrast
    made: list[Lesson] = []

    def lesson(kind: Kind, asked: str, expected: str, rejected: str, weight: float = 1.0) -> Lesson:
        chosen = reply_tokens(engine, expected)
        if len(chosen) > min(LONGEST_REPLY, engine.info.context // 2):
            raise ModelError(f"the reply of the difference {difference.id} is too long to train on")
        other = rephrase.rephrase(asked)
        if kind == "naming":
            other = rephrase.Rephrasings(other.training[:3], ())
        differs = bool(rejected.strip()) and rejected.strip() != expected.strip()
        return Lesson(
            difference=difference.id,
            kind=kind,
            question=ask(asked),
            expected=expected.strip(),
            chosen=chosen,
            rejected=reply_tokens(engine, rejected)[:LONGEST_REPLY] if differs else None,
            weight=weight,
            rephrasings=tuple(ask(text) for text in other.training),
            held_out=tuple(ask(text) for text in other.held_out),
        )

    if difference.moment is Moment.HOLD:
        made.append(lesson("hold", difference.asked, difference.replied, ""))
    elif contrast.sounds:
        made.append(lesson("contrast", difference.asked, contrast.sounds, difference.replied))
    if contrast.missed or contrast.lost:
        question, answer = _naming(difference)
        made.append(lesson("naming", question, answer, "", NAMING_WEIGHT))
    return made


def _naming(difference: Difference) -> tuple[str, str]:
    """Return the question that asks for the break, and the contrast in its lines."""
    contrast = difference.contrast
    if rephrase.is_russian(f"{difference.asked} {contrast.missed or contrast.lost}"):
        question = f"Что не было различено в ответе на «{difference.asked.strip()}»?"
        names = ("Не различено", "Не удержано", "Должно звучать")
    else:
        question = f'What was not distinguished in the answer to "{difference.asked.strip()}"?'
        names = ("Not distinguished", "Not held", "It should sound")
    texts = (contrast.missed, contrast.lost, contrast.sounds)
    lines = [f"{name}: {text}" for name, text in zip(names, texts, strict=True) if text]
    return question, "\n".join(lines)
