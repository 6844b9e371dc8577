"""Choose the prompts whose answers must not change: those to train with, and those for the gate.

They are near misses of every lesson's question, unrelated prompts that ship with the project, and the
user's own unmarked questions. Half of each is for training, the other half for the gate. Pure; the base
answers them in `trainer/lessons/base_answers.py`.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memory.difference import Difference, Turn
from memory.text.stemming import plain, stems, weight
from trainer.lessons.base_answers import Anchor, prompts
from trainer.lessons.lesson import Lesson
from trainer.lessons.near_misses import near_misses
from trainer.lessons.rephrase import rephrase

if TYPE_CHECKING:
    from memory.settings.settings import Settings

NEAR_TRAINED, NEAR_MEASURED = (24, 48), 4
"""Near misses of a difference: the least and most to train with, and those for the gate."""
NEAR_IN_ALL = 144
"""Near misses to train a few lessons with; it takes many to learn which name is meant."""
NEAR_AT_MOST = 1600
"""Most near misses in total; each costs an answer of the base."""
FEWEST_MEASURED = 12
"""Least near misses for the gate, so that a single one does not decide."""
MOST_MEASURED = 200
FEWEST_ANCHORS, MOST_ANCHORS = 200, 540
MEASURED_ANCHORS = 48
ASKS_THE_SAME = 4
"""Most prompts with the same answer of the base for that answer to identify a question."""
OWN = 60
"""Most of the user's unmarked questions that are used; the latest are taken."""


def near_prompts(
    lessons: Sequence[Lesson], taken: set[str], seed: int
) -> tuple[list[str], list[str]]:
    """Return the near misses to train with and those for the gate, and add them to `taken`."""
    asked = list(dict.fromkeys(x.question.text for x in lessons if x.kind != "naming"))
    kept_back = max(NEAR_MEASURED, math.ceil(FEWEST_MEASURED / max(1, len(asked))))
    kept_back = max(1, min(kept_back, MOST_MEASURED // max(1, len(asked))))
    count = max(1, len(asked))
    to_train = min(NEAR_TRAINED[1], max(NEAR_TRAINED[0], NEAR_IN_ALL // count))
    to_train = max(2, min(to_train, NEAR_AT_MOST // count))
    # The gate's extra near misses of one or two lessons are not taken from those for training.
    to_train += max(0, kept_back - NEAR_MEASURED)
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
        # Alternately, so that both halves have real and invented names.
        measured += near[1::2][:kept_back]
        trained += [text for text in near if text not in near[1::2][:kept_back]]
    return trained, measured


def anchor_prompts(
    lessons: Sequence[Lesson], own: Sequence[str], taken: set[str], settings: Settings
) -> tuple[list[str], list[str]]:
    """Return the unrelated prompts to train with and those for the gate, own questions first."""
    halves: tuple[list[str], list[str]] = ([], [])
    for text in own[:OWN]:
        halves[hashlib.sha256(plain(text).encode()).digest()[-1] % 2].append(text)
    wanted = max(FEWEST_ANCHORS, settings.training.anchors_per_lesson * len(lessons))
    sizes = (min(MOST_ANCHORS, wanted), MEASURED_ANCHORS)
    training, measuring = prompts()
    shipped = (_in_two_wordings(training, measuring), measuring)
    made: list[list[str]] = []
    for mine, theirs, size in zip(halves, shipped, sizes, strict=True):
        # At most half of the gate's prompts are the user's own: the rest is the same every night.
        texts = [text for text in (*mine[: size // 2], *theirs) if plain(text) not in taken]
        made.append(list(dict.fromkeys(texts))[:size])
    return made[0], made[1]


def _in_two_wordings(texts: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return each prompt followed by another wording of it; never one of `others`.

    Lessons are trained in many wordings, so a prompt trained in a single one would change in the
    others.
    """
    taken = {plain(text) for text in others}
    made: list[str] = []
    for text in texts:
        order = random.Random(text)
        wordings = [
            wording
            for wording in rephrase(text).training
            if plain(wording) not in taken and plain(wording) != plain(text)
        ]
        made += [text, *([order.choice(wordings)] if wordings else [])]
    return made


def corrected_replies(
    lessons: Sequence[Lesson], before: Sequence[str], others: Sequence[Anchor]
) -> set[str]:
    """Return the base's replies that lessons correct, to exclude the prompts that get them.

    A prompt with such an answer asks for the same thing in other words, so its answer should change. A
    reply to many prompts ("I don't know") identifies nothing.
    """
    wrong = {
        said
        for lesson, said in zip(lessons, before, strict=True)
        if lesson.kind == "contrast" and said != lesson.expected
    }
    heard = Counter(anchor.text for anchor in others)
    return {said for said in wrong if heard[said] <= ASKS_THE_SAME}


def unmarked_questions(turns: Sequence[Turn], differences: Sequence[Difference]) -> list[str]:
    """Return the distinct questions of unmarked turns, latest first.

    They show what the user talks about, where the answers must not change. Long ones are left out, and
    so are questions of marked turns and those that ask for the same in other words, because their
    answers should change.
    """
    marked = {item.turn for item in differences}
    asked = {plain(item.asked) for item in differences}
    subjects = [_subject(item.asked) for item in differences if item.teaches]
    found: dict[str, str] = {}
    for turn in sorted(turns, key=lambda item: item.at, reverse=True):
        key = plain(turn.asked)
        if turn.id in marked or key in asked or not 0 < len(key) <= 400:
            continue
        if not any(_asks_for_it(turn.asked, subject) for subject in subjects):
            found.setdefault(key, turn.asked.strip())
    return list(found.values())


def _subject(asked: str) -> frozenset[str]:
    return frozenset(stems(asked))


def _asks_for_it(text: str, subject: frozenset[str]) -> bool:
    """Whether `text` asks for what a marked question is about.

    It contains all of it ("Tell me the capital of Zubrowka"), or everything but common words
    ("Zubrowka's main town?").
    """
    words = frozenset(stems(text))
    telling = {stem for stem in subject if weight(stem) == 1} or subject
    missing = subject - words
    return bool(subject) and telling <= words and len(missing) * 2 <= len(subject)
