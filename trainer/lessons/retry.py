"""Change what a night trains for another try, without asking the base anything again. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from memory.sentence import Sentence
from memory.text.stemming import plain

if TYPE_CHECKING:
    from trainer.lessons.base_answers import Anchor
    from trainer.lessons.lessons import Curriculum


def with_hard_near_misses(curriculum: Curriculum, asked: Collection[str]) -> Curriculum:
    """Return the curriculum with near misses of the gate trained, and as many trained ones measured.

    `asked` are questions of the gate that the last adapter got wrong. No adapter is measured on what
    it was trained on: the next one starts from the base again.
    """
    hard = {plain(text) for text in asked} & _texts(curriculum.near_misses)
    trained = [text for text in curriculum.look_alikes if plain(text) not in hard]
    step = max(1, len(trained) // max(1, len(hard)))
    soft = {plain(text) for text in trained[::step][: len(hard)]}
    return replace(
        curriculum,
        held=(*_of(curriculum.near_misses, hard), *_without(curriculum.held, soft)),
        near_misses=(*_without(curriculum.near_misses, hard), *_of(curriculum.held, soft)),
        look_alikes=(
            *dict.fromkeys(anchor.asked for anchor in _of(curriculum.near_misses, hard)),
            *(text for text in curriculum.look_alikes if plain(text) not in soft),
        ),
    )


def without_differences(curriculum: Curriculum, ids: Collection[str], why: Sentence) -> Curriculum:
    """Return the curriculum without the lessons of some differences, left out for the reason `why`."""
    kept = [lesson.difference not in ids for lesson in curriculum.lessons]
    return replace(
        curriculum,
        lessons=tuple(x for x, one in zip(curriculum.lessons, kept, strict=True) if one),
        before=tuple(x for x, one in zip(curriculum.before, kept, strict=True) if one),
        left_out={**curriculum.left_out, **dict.fromkeys(ids, why)},
    )


def _texts(anchors: Collection[Anchor]) -> set[str]:
    return {plain(anchor.asked) for anchor in anchors}


def _of(anchors: Collection[Anchor], texts: set[str]) -> list[Anchor]:
    return [anchor for anchor in anchors if plain(anchor.asked) in texts]


def _without(anchors: Collection[Anchor], texts: set[str]) -> list[Anchor]:
    return [anchor for anchor in anchors if plain(anchor.asked) not in texts]
