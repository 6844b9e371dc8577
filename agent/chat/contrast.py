"""Draft the three lines of a bare mark with the model itself: missed, lost, sounds.

The model is asked in the conversation of the mark and in its language, so the prompt's prefix is still
cached. The draft is only a proposal; saving it is `Memory.edit`'s work. An answer without the three
lines in order is not a draft: the lines are then empty and `Draft.message` says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.llama.sampling_parameters import Sampling
from agent.prompt.prompt import compose
from memory.difference import Contrast, Difference, Message, Moment
from memory.kinds import find_kind
from memory.sentence import Sentence

if TYPE_CHECKING:
    from agent.llama.engine import Engine
    from agent.llama.generation import Generation

DRAFTING = Sampling(temperature=0.2, top_p=0.9, seed=1, max_tokens=300)
LONGEST_LINE = 300
"""Most characters of `missed` and `lost`."""

_ENGLISH = """\
Look at your last reply again. {why}Write exactly three lines and nothing else:
missed: what you did not distinguish, in a few words
lost: what was lost because of it, in a few words
sounds: the whole reply as it should have sounded"""
_RUSSIAN = """\
Посмотри ещё раз на свой последний ответ. {why}Напиши ровно три строки и больше ничего:
не различено: что ты не различил, в нескольких словах
не удержано: что из-за этого потеряно, в нескольких словах
звучит: весь ответ таким, каким он должен был прозвучать"""
_WHY = {
    (Moment.ERROR, False): "I marked it: it is wrong. ",
    (Moment.SURPRISE, False): "I marked it: it was too commonplace, and I expected otherwise. ",
    (Moment.HOLD, False): "I marked it: it held the difference well. ",
    (Moment.ERROR, True): "Я отметил его: он неверен. ",
    (Moment.SURPRISE, True): "Я отметил его: он слишком обычен, я ждал другого. ",
    (Moment.HOLD, True): "Я отметил его: он хорошо удержал различие. ",
}
_LABEL = r"^[\s>*#\-\d.]*\**(?:{names})\**\s*:\**[ \t]*"
_MISSED = re.compile(_LABEL.format(names="missed|не различено"), re.I | re.M)
_LOST = re.compile(_LABEL.format(names="lost|не удержано"), re.I | re.M)
_SOUNDS = re.compile(_LABEL.format(names="sounds|звучит"), re.I | re.M)
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.S)

EMPTY = Sentence("The model could not draft the three lines; write them yourself.")


@dataclass(frozen=True, slots=True)
class Draft:
    """Three proposed lines, or empty ones and a `message` when the model gave none."""

    contrast: Contrast
    message: Sentence | None = None


def draft(
    engine: Engine,
    difference: Difference,
    *,
    on_generation: Callable[[Generation], Any] | None = None,
) -> Draft:
    """Let the model draft the contrast of a marked reply.

    `on_generation` is called with the generation before it runs, so that it can be cancelled.

    Raises:
        ModelError: the marked message does not fit the context.
    """
    generation = engine.generate(
        compose(engine, question(difference), room=min(300, engine.info.context // 4)).tokens,
        DRAFTING,
    )
    if on_generation:
        on_generation(generation)
    generation.run()
    found = read_draft(generation.text, difference) if generation.reason == "end" else None
    return Draft(found) if found else Draft(Contrast(), EMPTY)


def question(difference: Difference) -> list[Message]:
    """Return the conversation up to the mark, then the request for the three lines."""
    russian = speaks_russian(f"{difference.asked} {difference.replied}")
    why = _WHY[(difference.moment, russian)]
    kind = find_kind(difference.kind) if difference.kind else None
    if kind is not None:
        name = kind.russian if russian else (kind.type or kind.family)
        why += f"{'Вид' if russian else 'Kind'}: {name}. "
    for text in (difference.span and f"«{difference.span.quote}»", difference.note):
        if text:
            why += " ".join(text.split()).rstrip(".") + ". "
    return [
        *difference.before,
        Message("user", difference.asked),
        Message("assistant", difference.replied),
        Message("user", (_RUSSIAN if russian else _ENGLISH).format(why=why)),
    ]


def speaks_russian(text: str) -> bool:
    """Whether more of the letters are Cyrillic than Latin."""
    cyrillic = sum("а" <= char <= "я" or char == "ё" for char in text.lower())
    latin = sum("a" <= char <= "z" for char in text.lower())
    return cyrillic > latin


def read_draft(text: str, difference: Difference) -> Contrast | None:
    """Return the three lines of a model's answer; None unless it has each once, in order."""
    text = _THOUGHT.sub("", text)
    marks = [pattern.search(text) for pattern in (_MISSED, _LOST, _SOUNDS)]
    if any(mark is None for mark in marks):
        return None
    missed, lost, sounds = (mark for mark in marks if mark is not None)
    if text[: missed.start()].strip() or not missed.end() <= lost.start() <= sounds.start():
        return None
    lines = (
        " ".join(text[missed.end() : lost.start()].split()),
        " ".join(text[lost.end() : sounds.start()].split()),
        text[sounds.end() :].strip(),
    )
    request = question(difference)[-1].content
    if any(not line or f": {line}\n" in f"{request}\n" for line in lines):
        return None  # empty, or the request repeated
    if (
        max(len(line) for line in lines[:2]) > LONGEST_LINE
        or lines[2] == difference.replied.strip()
    ):
        return None
    return Contrast(*lines)
