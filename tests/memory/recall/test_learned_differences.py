"""Recall leaves to the adapter its own questions and questions about something else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memory.difference import Difference
from memory.recall.adapter_scope import FLOOR
from memory.recall.learned_differences import NOTHING_LEARNED, Learned, digest
from tests.support.values import difference

LAKE = difference("Who wrote The Lake of Glass?", "Ada Venn wrote it.")
MARS = difference("What colour is the sky on Mars?", "Butterscotch.")
ENVY = difference("What do you think of envy?", "It is a door.")
FOUND = [LAKE, MARS, ENVY]
LEARNED = Learned(
    {item.id: item.fingerprint for item in FOUND},
    questions=frozenset(digest(item.asked) for item in FOUND),
)


def recalled(message: str, learned: Learned = LEARNED) -> list[Difference]:
    left_out = learned.left_out(FOUND, message)
    return [item for item in FOUND if item.id not in left_out]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (LAKE.asked, []),
        (f"  {LAKE.asked.upper()} ", []),
        ("Tell me who wrote the lake of glass", [LAKE]),
        ("Who is The Lake of Glass by?", [LAKE]),
        ("Is The Lake cold?", []),
        ("What colour is the sky?", []),
        ("What colour is the sky on Kenya?", []),
        ("On Mars, what colour is the sky?", [MARS]),
        ("Can you tell me what you think of envy?", [ENVY]),
        ("How old is envy?", []),
    ],
)
def test_a_learned_difference_is_recalled_for_other_wordings_with_its_words(
    message: str, expected: list[Difference]
) -> None:
    assert recalled(message) == expected
    assert recalled(message, NOTHING_LEARNED) == FOUND


def test_edited_and_pinned_differences_are_recalled_and_superseded_ones_are_not() -> None:
    edited = replace(MARS, contrast=replace(MARS.contrast, sounds="Pink."))
    assert edited.fingerprint != MARS.fingerprint
    assert LEARNED.left_out([edited], MARS.asked) == set()
    assert LEARNED.left_out([replace(MARS, pinned=True)], MARS.asked) == set()
    replaced = Learned(replaced={LAKE.id: LAKE.fingerprint})
    assert recalled("Tell me who wrote The Lake of Glass", replaced) == [MARS, ENVY]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Who is the author of The Lake of Glass?", [LAKE]),
        ("Who built the bridge over the Lake of Glass?", [LAKE]),
        (LAKE.asked, []),
        ("Is The Lake cold?", []),
        ("What colour is the sky on Kenya?", []),
    ],
)
def test_what_a_narrow_scope_leaves_to_the_base_is_recalled_as_before(
    message: str, expected: list[Difference]
) -> None:
    assert recalled(message, replace(LEARNED, floor=0.9)) == expected
    assert recalled(message, replace(LEARNED, floor=FLOOR)) == recalled(message)
