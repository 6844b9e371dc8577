"""A number with its English noun."""

from __future__ import annotations

from memory.text.counts import counted


def test_the_noun_agrees_with_the_number() -> None:
    assert [counted(n, "mark") for n in (0, 1, 2)] == ["0 marks", "1 mark", "2 marks"]
    assert counted(1200, "batch", "batches") == "1,200 batches"
    assert counted(1, "batch", "batches") == "1 batch"
