"""Change the curriculum for another trial, without asking the base again. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from memory.sentence import Sentence
from memory.text.stemming import plain

if TYPE_CHECKING:
    from trainer.lessons.anchors.base_answers import Anchor
    from trainer.lessons.lessons import Curriculum

SPREADS = Sentence("its words appeared in answers to other questions, so it is recalled instead")
"""Why a difference is left out of a trial."""
AS_ASKED = Sentence(
    "its words appeared in answers to other questions, so the adapter answers it only as it was "
    "asked, and for other wordings it is recalled"
)
"""Why a difference is left out of a verdict, although the adapter answers its question."""


def with_hard_questions(curriculum: Curriculum, asked: Collection[str]) -> Curriculum:
    """Return the curriculum with the questions `asked` of the gate exchanged for trained ones.

    The last adapter got them wrong, so they are trained as near misses, and as many trained ones are
    measured instead. The next adapter starts from the base, so it is not measured on what it was
    trained on.
    """
    wanted = {plain(text) for text in asked}
    near, far = (wanted & _texts(some) for some in (curriculum.near_misses, curriculum.anchors))
    alike = {plain(text) for text in curriculum.look_alikes}
    soft_near = _some(curriculum.held, alike - wanted, len(near))
    soft_far = _some(curriculum.held, _texts(curriculum.held) - alike - wanted, len(far))
    hard = [*_of(curriculum.near_misses, near), *_of(curriculum.anchors, far)]
    return replace(
        curriculum,
        held=(*hard, *_without(curriculum.held, soft_near | soft_far)),
        near_misses=(*_without(curriculum.near_misses, near), *_of(curriculum.held, soft_near)),
        anchors=(*_without(curriculum.anchors, far), *_of(curriculum.held, soft_far)),
        look_alikes=(
            *dict.fromkeys(anchor.asked for anchor in hard),
            *(text for text in curriculum.look_alikes if plain(text) not in soft_near),
        ),
    )


def _some(anchors: Collection[Anchor], texts: set[str], count: int) -> set[str]:
    """Return `count` of `texts`, spread over the order of `anchors`."""
    ordered = list(dict.fromkeys(text for x in anchors if (text := plain(x.asked)) in texts))
    return set(ordered[:: max(1, len(ordered) // max(1, count))][:count])


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
