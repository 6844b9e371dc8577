"""Turn one difference into its lessons: questions as token ids, the chosen and the rejected reply.

A difference that teaches becomes a contrast (chosen: the better answer; rejected: the marked reply) or
a hold (chosen: the reply itself). It is asked in its conversation and, if the question is
self-contained, without it. If the user wrote what the reply got wrong or left out, another lesson
teaches to name that. A bare mark has no lesson. A mark on a span contrasts only the span.

Pure. Every prompt is made by `agent/prompt/prompt.py`, so training uses exactly the prompts of the
chat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from agent.prompt.prompt import LONGEST_REPLY, compose, longest_reply, reply_tokens
from agent.prompt.reply_parser import without_thought
from memory.difference import Difference, Message, Moment
from memory.errors import ModelError
from trainer.lessons.rephrase import is_russian, rephrase
from trainer.lessons.reply_spans import Range, contrasted_tokens, expected_reply, token_range
from trainer.lessons.self_contained import is_self_contained, without_system_prompt

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from memory.settings.settings import Settings

LessonKind = Literal["contrast", "hold", "naming"]
NAMING_WEIGHT = 0.5
LONGEST_TALK = 1024
"""Most tokens of a prompt in a conversation; older exchanges are left out."""
IN_TALK, NAMING = 3, 3
"""Most rephrasings of a lesson in its conversation, and of one that names the error."""


@dataclass(frozen=True, slots=True)
class Question:
    """A user message and its prompt.

    `before` is the conversation before it, of which the `dropped` oldest messages did not fit; `block`
    is the recalled text.
    """

    text: str
    prompt: tuple[int, ...]
    dropped: int = 0
    before: tuple[Message, ...] = ()
    block: str = ""

    @property
    def continues(self) -> bool:
        """Whether there are exchanges before it."""
        return any(message.role == "user" for message in self.before)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one difference teaches, as token ids; `chosen` and `rejected` end with the end of turn.

    `parts` are the tokens of the chosen and of the rejected reply that the contrast counts, None for
    all of both. `in_talk` is true for a lesson asked in its conversation. `places` are other contexts
    in which the question gets the same reply (`trainer/lessons/contexts.py`), for training and for the
    gate; `contexts` are only for training.
    """

    difference: str
    kind: LessonKind
    question: Question
    expected: str
    chosen: tuple[int, ...]
    rejected: tuple[int, ...] | None
    weight: float
    rephrasings: tuple[Question, ...] = ()
    held_out: tuple[Question, ...] = ()
    in_talk: bool = False
    parts: tuple[Range, Range] | None = None
    places: tuple[Question, ...] = ()
    contexts: tuple[Question, ...] = ()

    @property
    def tokens(self) -> int:
        """Number of tokens of the question and the chosen reply."""
        return len(self.question.prompt) + len(self.chosen)


class Asker:
    """Makes a `Question` of a user message, with the prompt that the chat would use."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        system = settings.chat.system
        self._head = [Message("system", system)] if system.strip() else []
        self._room = longest_reply(engine)

    def __call__(
        self,
        text: str,
        before: Sequence[Message] = (),
        *,
        block: str = "",
        longest: int = LONGEST_TALK,
        reply: int | None = None,
    ) -> Question:
        """Return `text` asked in a new thread, or after at most `longest` tokens of `before`.

        `block` is the recalled text. A reply may take `reply` tokens, by default as many as a lesson's.

        Raises:
            ModelError: the message does not fit the context together with its reply.
        """
        room = self._room
        head = self._head
        if before:
            room = max(room if reply is None else reply, self.engine.info.context - longest)
            head = [] if before[0].role == "system" else self._head
        messages = [*head, *before, Message("user", text)]
        # Without thinking, even if the chat thinks: a reply right after the prompt would teach a
        # thinking model not to think.
        made = compose(self.engine, messages, block=block, thinking=False, room=room)
        return Question(text, made.tokens, made.dropped, tuple(before), block)

    def fits(self, text: str) -> bool:
        """Whether `text` fits the context in a new thread."""
        try:
            self(text)
        except ModelError:
            return False
        return True


def lessons_of(
    difference: Difference,
    siblings: Sequence[Difference],
    ask: Asker,
    engine: Engine,
    *,
    wordings: int = 100,
) -> list[Lesson]:
    """Return the lessons of `difference`; `siblings` replace other spans of the same reply.

    `wordings` is the most rephrasings to train a lesson with.

    Raises:
        ModelError: the question or a reply is too long for the context.
    """
    made: list[Lesson] = []
    contrast = difference.contrast
    expected = expected_reply(difference, siblings)
    if expected is not None and expected.strip():
        kind: LessonKind = "hold" if difference.moment is Moment.HOLD else "contrast"
        lesson = _reply_lesson(difference, kind, expected, engine)
        made += _in_both_places(lesson, difference, ask, wordings)
    if contrast.missed or contrast.lost:
        made.append(_naming_lesson(difference, ask, engine))
    return made


def _reply_lesson(
    difference: Difference, kind: LessonKind, expected: str, engine: Engine
) -> Lesson:
    """Return the lesson without its questions."""
    if kind == "hold":  # the model's own words, without its thoughts at that moment
        expected = without_thought(expected)
    expected, replied = expected.strip(), without_thought(difference.replied).strip()
    chosen = _fitting(expected, difference, engine)
    rejected = None
    parts = None
    if kind == "contrast" and replied and replied != expected:
        rejected = reply_tokens(engine, replied)[:LONGEST_REPLY]
        if difference.span is not None:
            marked = token_range(engine.tokenize, difference.replied, difference.span)
            if marked and marked[1] > len(rejected):
                marked = None
            parts = contrasted_tokens(chosen, rejected, marked)
    nothing = Question(difference.asked, ())
    return Lesson(difference.id, kind, nothing, expected, chosen, rejected, 1.0, parts=parts)


def _in_both_places(
    lesson: Lesson, difference: Difference, ask: Asker, wordings: int
) -> list[Lesson]:
    """Return the lesson asked in its conversation, if there was one, and alone, if self-contained."""
    other = rephrase(difference.asked, most=wordings)
    alone = is_self_contained(difference.asked, difference.before)
    made: list[Lesson] = []
    if without_system_prompt(difference.before):
        training = other.training[: IN_TALK if alone else None]
        made.append(
            replace(
                lesson,
                question=ask(difference.asked, difference.before),
                rephrasings=tuple(ask(text, difference.before) for text in training),
                held_out=()
                if alone
                else tuple(ask(text, difference.before) for text in other.held_out),
                in_talk=True,
            )
        )
    if alone:
        before = difference.before[:1]  # at most its system prompt
        made.append(
            replace(
                lesson,
                question=ask(difference.asked, before if not made else ()),
                rephrasings=tuple(ask(text) for text in other.training),
                held_out=tuple(ask(text) for text in other.held_out),
            )
        )
    return made


def _naming_lesson(difference: Difference, ask: Asker, engine: Engine) -> Lesson:
    """Return the lesson in which the user asks what was wrong with the reply."""
    question, short, answer = naming(difference)
    wordings = rephrase(question, most=NAMING).training
    # Asked right after the reply, as a user would, if that fits.
    there = (
        *difference.before,
        Message("user", difference.asked),
        Message("assistant", difference.replied),
    )
    at_once: tuple[Question, ...] = ()
    if difference.replied.strip():
        asked = ask(short, there)
        at_once = () if asked.dropped > len(without_system_prompt(difference.before)) else (asked,)
    return Lesson(
        difference=difference.id,
        kind="naming",
        question=ask(question),
        expected=answer,
        chosen=_fitting(answer, difference, engine),
        rejected=None,
        weight=NAMING_WEIGHT,
        rephrasings=(*(ask(text) for text in wordings), *at_once),
    )


def naming(difference: Difference) -> tuple[str, str, str]:
    """Return the question that asks what was wrong, its short form, and the answer.

    The short form follows right after the reply. The answer is the lines of the contrast.
    """
    contrast, asked = difference.contrast, " ".join(difference.asked.split())
    quote = f" «{difference.span.quote.strip()}»" if difference.span else ""
    if is_russian(f"{difference.asked} {contrast.missed or contrast.lost}"):
        short = f"Что не было различено{f' в{quote}' if quote else ''}?"
        question = f"Что не было различено в{quote and f'{quote} в'} ответе на «{asked}»?"
        names = ("Не различено", "Не удержано", "Должно звучать")
    else:
        quote = quote.replace("«", '"').replace("»", '"')
        short = f"What was not distinguished{f' in{quote}' if quote else ''}?"
        question = (
            f'What was not distinguished in{quote and f"{quote} in"} the answer to "{asked}"?'
        )
        names = ("Not distinguished", "Not held", "It should sound")
    texts = (contrast.missed, contrast.lost, contrast.sounds)
    lines = [f"{name}: {text}" for name, text in zip(names, texts, strict=True) if text]
    return question, short, "\n".join(lines)


def _fitting(reply: str, difference: Difference, engine: Engine) -> tuple[int, ...]:
    tokens = reply_tokens(engine, reply)
    longest = longest_reply(engine)
    if len(tokens) > longest:
        raise ModelError(
            "the better answer of the difference {id} has {tokens} tokens, but a lesson holds at "
            "most {longest}; shorten it",
            id=difference.id[:8],
            tokens=len(tokens),
            longest=longest,
        )
    return tokens
