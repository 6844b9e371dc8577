"""Choose the prompts whose answers must not change: those to train with, and those for the gate.

They are near misses of every lesson's question, unrelated prompts that ship with the project, and the
user's own unmarked questions. Half of each is for training, the other half for the gate. Pure; the base
answers them in `trainer/lessons/anchors/base_answers.py`.

A night without time for all of them uses the first ones, so the most informative come first. In each
group, a prompt near a marked question, where an adapter spills over first, alternates with one that is
far from all previous ones, so that the front of a group covers all of it. Nearness is the cosine of the
character n-gram vectors of `memory/recall/embedder.py`, which need no model.

Source of the alternation: farthest-point traversal, Gonzalez, "Clustering to minimize the maximum
intercluster distance" (1985).
"""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from memory.difference import Difference, Turn
from memory.recall.embedder import NgramEmbedder
from memory.text.stemming import plain, stems, weight
from trainer.lessons.anchors.base_answers import Anchor, prompts
from trainer.lessons.anchors.likelihood import of_languages
from trainer.lessons.anchors.near_misses import NearMiss, near_misses
from trainer.lessons.entities.finder import entities
from trainer.lessons.lesson import Lesson
from trainer.lessons.rephrase import rephrase

if TYPE_CHECKING:
    from memory.settings.settings import Settings
    from trainer.lessons.anchors.likelihood import Likelihood

NEAR_TRAINED, NEAR_MEASURED = (24, 48), 4
"""Near misses of a difference: the least and most to train with, and those for the gate."""
SPARE = 1.5
"""Near misses generated per one used: the most unnatural ones are dropped (`likelihood`)."""
NEAR_IN_ALL = 144
"""Least near misses to train with in total; it takes many to learn which name is meant."""
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
GROUPS = ("near_trained", "trained", "near_measured", "measured")
"""The groups of `HeldPrompts`, in the order in which a curriculum keeps them."""


@dataclass(frozen=True, slots=True)
class HeldPrompts:
    """Prompts whose answers must stay the same.

    Near misses to train with and for the gate, and unrelated prompts to train with and for the gate.
    """

    near_trained: tuple[str, ...]
    trained: tuple[str, ...]
    near_measured: tuple[str, ...]
    measured: tuple[str, ...]

    @property
    def count(self) -> int:
        """The number of prompts in all groups."""
        return sum(len(getattr(self, item.name)) for item in fields(self))

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The groups, in the order of GROUPS."""
        return tuple(getattr(self, name) for name in GROUPS)

    def ordered(self, questions: Sequence[str]) -> HeldPrompts:
        """Return the same prompts, in each group the most informative about `questions` first."""
        return HeldPrompts(*(telling_order(group, questions) for group in self.groups))


def near_prompts(
    lessons: Sequence[Lesson],
    taken: set[str],
    seed: int,
    *,
    likelihood: Likelihood | None = None,
    talk: Sequence[str] = (),
) -> tuple[list[str], list[str]]:
    """Return the near misses to train with and those for the gate, and add them to `taken`.

    `likelihood` drops those that the base finds the least natural; `talk` are the user's unmarked
    questions.
    """
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
        wanted = to_train + kept_back
        made = near_misses(question, others, count=round(SPARE * wanted), seed=seed, talk=talk)
        fresh = [item for item in made if plain(item.text) not in taken]
        near = likelihood.most_natural(fresh, wanted) if likelihood else fresh[:wanted]
        taken.update(plain(item.text) for item in near)
        held_back = _some_of_each_sort(near, kept_back)
        measured += [item.text for item in held_back]
        trained += [item.text for item in near if item not in held_back]
    return trained, measured


def _some_of_each_sort(near: Sequence[NearMiss], count: int) -> list[NearMiss]:
    """Return about `count` of `near`, of each sort in proportion, spread over the list."""
    some: list[NearMiss] = []
    for sort in dict.fromkeys(item.sort for item in near):
        mine = [item for item in near if item.sort == sort]
        # Rare sorts are only trained: a single negation cannot be used for both.
        number = count * len(mine) // max(1, len(near))
        some += [mine[(2 * place + 1) * len(mine) // (2 * number)] for place in range(number)]
    entity = [item for item in near if item.sort == near[0].sort and item not in some]
    return [*some, *entity[: count - len(some)]]


def anchor_prompts(
    lessons: Sequence[Lesson],
    own: Sequence[str],
    taken: set[str],
    settings: Settings,
    languages: frozenset[str] = frozenset(("english", "russian")),
) -> tuple[list[str], list[str]]:
    """Return the unrelated prompts to train with and those for the gate, own questions first.

    Prompts that are not in one of `languages` are left out: the base answers them with noise.
    """
    halves: tuple[list[str], list[str]] = ([], [])
    for text in of_languages(own[:OWN], languages):
        halves[hashlib.sha256(plain(text).encode()).digest()[-1] % 2].append(text)
    wanted = max(FEWEST_ANCHORS, settings.training.anchors_per_lesson * len(lessons))
    sizes = (min(MOST_ANCHORS, wanted), MEASURED_ANCHORS)
    training, measuring = (of_languages(half, languages) for half in prompts())
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
    wanted = [_Wanted.of(item) for item in differences if item.teaches]
    found: dict[str, str] = {}
    for turn in sorted(turns, key=lambda item: item.at, reverse=True):
        key = plain(turn.asked)
        if turn.id in marked or key in asked or not 0 < len(key) <= 400:
            continue
        if not any(one.is_asked_by(turn) for one in wanted):
            found.setdefault(key, turn.asked.strip())
    return list(found.values())


def telling_order(texts: Sequence[str], questions: Sequence[str]) -> tuple[str, ...]:
    """Return `texts` in the order of their information about the marked `questions`.

    The questions take turns in choosing the nearest text that is left; after each, the text that is
    farthest from all chosen ones follows.
    """
    if len(texts) < 2:
        return tuple(texts)
    embedder = NgramEmbedder()
    vectors = embedder.embed(texts)
    near = vectors @ embedder.embed(questions).T if questions else np.zeros((len(texts), 0))
    choices = [iter(np.argsort(-near[:, number], kind="stable")) for number in range(near.shape[1])]
    left = np.ones(len(texts), dtype=bool)
    closest = np.full(len(texts), -1.0, dtype=np.float32)
    """Cosine of each text with the nearest chosen one."""
    order: list[int] = []

    def take(place: int) -> None:
        left[place] = False
        order.append(place)
        np.maximum(closest, vectors @ vectors[place], out=closest)

    turn = 0
    while left.any():
        if choices:
            chosen = next(int(place) for place in choices[turn % len(choices)] if left[place])
            take(chosen)
            turn += 1
        if left.any():
            take(int(np.argmin(np.where(left, closest, np.inf))))
    return tuple(texts[place] for place in order)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A marked question: the stems of its words, of its subject, and of its reply."""

    words: frozenset[str]
    about: frozenset[str]
    replied: frozenset[str]

    @classmethod
    def of(cls, item: Difference) -> _Wanted:
        names = [one.text for one in entities(item.asked)[:1] if one.is_known]
        words = frozenset(stems(item.asked))
        return cls(words, frozenset(stems(" ".join(names)) if names else ()), _said(item))

    def is_asked_by(self, turn: Turn) -> bool:
        """Whether an unmarked turn asks for the same.

        Its words are all of the question ("Tell me the capital of Zubrowka"), or all but common ones
        ("Zubrowka's main town?"). Or it is about the same and also shares another word with the
        question, or got the reply that was marked.
        """
        words = frozenset(stems(turn.asked))
        telling = {stem for stem in self.words if weight(stem) == 1} or self.words
        missing = self.words - words
        if self.words and telling <= words and len(missing) * 2 <= len(self.words):
            return True
        if not self.about or not self.about <= words:
            return False
        said = _said(turn)
        same_reply = bool(said) and len(said & self.replied) * 2 > len(said | self.replied)
        return same_reply or bool((words & self.words) - self.about)


def _said(item: Difference | Turn) -> frozenset[str]:
    """Return the stems of a reply without those of its question."""
    said = stems(item.replied) if item.replied.strip() else []
    return frozenset(said) - frozenset(stems(item.asked))
